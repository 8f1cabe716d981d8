//! Reading files, and trusting them or not. Needs no privileges: the tests' own user stands in for root.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, as it should")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use subhost_config::{LoadError, Trust, load, load_owned_by};
use tempfile::TempDir;

/// A directory `sub` with a file `config`, both closed to others.
struct Tree {
    directory: TempDir,
    owner: u32,
}

impl Tree {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let owner = fs::metadata(directory.path()).unwrap().uid();
        let tree = Self { directory, owner };
        fs::create_dir(tree.path("sub")).unwrap();
        fs::write(tree.path("sub/config"), "A=1\n").unwrap();
        tree.mode("sub", 0o755);
        tree.mode("sub/config", 0o644);
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// The reason not to trust it, without the temporary directory's name; none if it is trusted.
    fn reason(&self, name: &str) -> Option<String> {
        let loaded = load_owned_by(&self.path(name), self.owner).unwrap();
        assert_eq!(loaded.source.text(), b"A=1\n");
        match loaded.trust {
            Trust::Trusted => None,
            Trust::Untrusted(reason) => {
                Some(reason.replace(&format!("{}/", self.directory.path().display()), ""))
            }
        }
    }

    fn error(&self, name: &str) -> String {
        let error = load_owned_by(&self.path(name), self.owner).unwrap_err();
        error.to_string().replace(&format!("{}/", self.directory.path().display()), "")
    }
}

#[test]
fn trusts_what_only_the_owner_can_write() {
    let tree = Tree::new();
    assert_eq!(tree.reason("sub/config"), None);
    let loaded = load_owned_by(&tree.path("sub/config"), tree.owner).unwrap();
    assert_eq!(loaded.source.name(), tree.path("sub/config").to_str().unwrap());
}

#[test]
fn distrusts_what_others_may_write() {
    let tree = Tree::new();
    tree.mode("sub/config", 0o664);
    assert_eq!(tree.reason("sub/config").unwrap(), "sub/config may be written by its group");
    tree.mode("sub/config", 0o646);
    assert_eq!(tree.reason("sub/config").unwrap(), "sub/config may be written by everybody");
    tree.mode("sub/config", 0o644);
    tree.mode("sub", 0o775);
    assert_eq!(tree.reason("sub/config").unwrap(), "sub may be written by its group");
}

#[test]
fn distrusts_a_file_with_two_names() {
    let tree = Tree::new();
    fs::hard_link(tree.path("sub/config"), tree.path("other")).unwrap();
    assert_eq!(tree.reason("sub/config").unwrap(), "sub/config has 2 names (hard links)");
}

#[test]
fn distrusts_another_owner() {
    let tree = Tree::new();
    let stranger = tree.owner + 1;
    let trust = load_owned_by(&tree.path("sub/config"), stranger).unwrap().trust;
    if tree.owner == 0 {
        assert_eq!(trust, Trust::Trusted, "root is always trusted");
    } else {
        assert!(matches!(trust, Trust::Untrusted(reason) if reason.contains("belongs to user")));
    }
}

#[test]
fn follows_links_and_judges_the_directories_they_lead_through() {
    let tree = Tree::new();
    fs::create_dir(tree.path("open")).unwrap();
    tree.mode("open", 0o777);
    symlink(tree.path("sub"), tree.path("link")).unwrap();
    symlink("../sub/config", tree.path("open/config")).unwrap();
    symlink("open/../sub", tree.path("through")).unwrap();
    assert_eq!(tree.reason("link/config"), None);
    assert_eq!(tree.reason("open/config").unwrap(), "open may be written by everybody");
    assert_eq!(tree.reason("through/config").unwrap(), "open may be written by everybody");
    assert_eq!(tree.reason("open/../sub/./config").unwrap(), "open may be written by everybody");
}

#[test]
fn errors_name_the_part_of_the_path_that_failed() {
    let tree = Tree::new();
    symlink("loop", tree.path("loop")).unwrap();
    assert_eq!(tree.error("sub/none"), "open sub/none: No such file or directory (os error 2)");
    assert_eq!(tree.error("none/config"), "open none: No such file or directory (os error 2)");
    assert_eq!(tree.error("sub/config/x"), "open sub/config: Not a directory (os error 20)");
    assert_eq!(tree.error("sub/config/"), "open sub/config: Not a directory (os error 20)");
    assert_eq!(tree.error("loop"), "open loop: Too many levels of symbolic links (os error 40)");
}

#[test]
fn refuses_what_is_no_file_without_waiting() {
    let tree = Tree::new();
    assert_eq!(tree.error("sub"), "open sub: not a regular file");
    let made = std::process::Command::new("mkfifo").arg(tree.path("fifo")).status().unwrap();
    assert!(made.success());
    assert_eq!(tree.error("fifo"), "open fifo: not a regular file");
    assert!(matches!(load(Path::new("/dev/null")), Err(LoadError::NotAFile { .. })));
    assert!(matches!(load(Path::new("/")), Err(LoadError::NotAFile { .. })));
}

#[test]
fn refuses_more_than_a_mebibyte() {
    let tree = Tree::new();
    fs::write(tree.path("sub/config"), vec![b'\n'; 1024 * 1024]).unwrap();
    assert_eq!(load(&tree.path("sub/config")).unwrap().source.text().len(), 1024 * 1024);
    fs::write(tree.path("sub/config"), vec![b'\n'; 1024 * 1024 + 1]).unwrap();
    assert_eq!(tree.error("sub/config"), "read sub/config: larger than 1048576 bytes");
    assert!(matches!(load(Path::new("/dev/zero")), Err(LoadError::NotAFile { .. })));
}

#[test]
fn takes_a_relative_path() {
    let loaded = load(Path::new("Cargo.toml")).unwrap();
    assert_eq!(loaded.source.name(), "Cargo.toml");
    assert!(loaded.source.text().starts_with(b"[package]"));
}
