//! Archives and images of strangers: all that is in them stays in the new root.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use subhost_tests::archive::{Archive, kind};
use subhost_tests::canary::Canary;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::host::Host;

use crate::create::{names, text};

pub(crate) const CASES: &[Case] = &[
    Case { name: "create_keeps_a_hostile_archive_in_its_tree", needs: &[Need::Program], body: hostile },
    Case {
        name: "create_refuses_an_archive_that_means_what_is_outside",
        needs: &[Need::Program],
        body: outside,
    },
    Case {
        name: "create_believes_an_oci_image_only_what_its_digests_say",
        needs: &[Need::Program],
        body: oci,
    },
    Case {
        name: "create_hides_in_an_oci_image_what_layers_below_have",
        needs: &[Need::Program],
        body: layers,
    },
];

/// Row A1 of docs/security.md.
fn hostile(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let place = text(canary.directory());
    let archive = Archive::default()
        .directory("./")
        .directory(&format!("{place}/inner"))
        .entry(kind::FILE, 0o4755, "/absolute", "", b"inside")
        .symlink("away", &place)
        .file("away/secret", "overwritten")
        .symlink("relative", &format!("../../../../../../../..{place}"))
        .file("relative/inner/new", "overwritten")
        .symlink("etc", &place)
        .device("null", 1, 3)
        .device("away/mem", 1, 1)
        .entry(kind::FIFO, 0o666, "fifo", "", b"")
        .file("fifo", "a file in its place")
        .entry(kind::LINK, 0o644, "hard", "absolute", b"")
        .entry(kind::LINK, 0o644, "link-of-link", "away", b"")
        .directory("proc/self/root")
        .symlink("self", "/proc/self/root")
        .file("self/escaped", "overwritten")
        .symlink("loop", "loop2/x")
        .hole("hole", 1 << 32);
    let (file, name) = (host.directory().join("hostile.tar"), host.name("web"));
    fs::write(&file, archive.finish())?;
    host.done(&["create", &name, "--tar", &text(&file)])?;
    canary.unharmed()?;
    let root = host.subhost_dir().join(&name).join("root");
    let inside = |path: &str| root.join(path);
    let own = inside(place.trim_start_matches('/'));
    assert_eq!(fs::read_to_string(own.join("secret"))?, "overwritten");
    assert_eq!(fs::read_to_string(own.join("inner/new"))?, "overwritten");
    // What create writes goes the same way.
    assert_eq!(fs::read_to_string(own.join("hostname"))?, format!("{name}\n"));
    assert_eq!(fs::read_to_string(inside("proc/self/root/escaped"))?, "overwritten");
    assert!(fs::symlink_metadata(own.join("mem"))?.file_type().is_char_device());
    let meta = fs::metadata(inside("absolute"))?;
    assert_eq!((meta.mode() & 0o7777, meta.nlink()), (0o4755, 2));
    assert!(fs::symlink_metadata(inside("fifo"))?.is_file());
    assert!(fs::symlink_metadata(inside("link-of-link"))?.is_symlink());
    let hole = fs::metadata(inside("hole"))?;
    assert!(hole.len() == 1 << 32 && hole.blocks() < 64, "{} blocks", hole.blocks());
    // Whoever is not root gets at none of it.
    assert_eq!(fs::metadata(host.subhost_dir().join(&name))?.mode() & 0o7777, 0o700);
    Ok(())
}

fn outside(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let place = text(canary.directory());
    let up = format!("../../../../../../../..{place}");
    fs::create_dir(host.subhost_dir())?;
    let before = names(host)?;
    let (file, name) = (host.directory().join("outside.tar"), host.name("web"));
    let image = text(&host.directory().join("new.raw"));
    for (archive, word) in [
        (Archive::default().file(&format!("{up}/new"), "x"), "out of the tree"),
        (Archive::default().file("a/../../x", "x"), "out of the tree"),
        (Archive::default().directory(".."), "out of the tree"),
        (
            Archive::default().entry(kind::LINK, 0o644, "hard", &format!("{up}/secret"), b""),
            "out of the tree",
        ),
        // Absolute, it means one of its own, and there is none.
        (
            Archive::default().entry(kind::LINK, 0o644, "hard", &format!("{place}/secret"), b""),
            "No such file",
        ),
        (
            Archive::default().symlink("away", &place).entry(kind::LINK, 0o644, "hard", "away/secret", b""),
            "No such file",
        ),
        (Archive::default().hole("hole", 8 << 60), "1 TiB"),
        (Archive::default().hole("hole", 2 << 40), "1 TiB"),
        (
            Archive::default().file("loop", "x").symlink("a", "b").symlink("b", "a").file("a/x", "x"),
            "unpack a/x",
        ),
        (Archive::default().entry(b'?', 0o644, "x", "", b""), "no kind"),
        (Archive::default().file("./", "x"), "root"),
        (Archive::default().entry(b'x', 0, "x", "", &vec![b'x'; 5 << 20]), "longer than 4 MiB"),
        (Archive::default().entry(b'L', 0, "x", "", &vec![b'/'; 5 << 20]), "longer than 4 MiB"),
        (Archive::default().entry(b'L', 0, "x", "", &b"x/".repeat(1 << 19)).file("y", ""), "too long"),
        (Archive::default().symlink("dev", "/dev"), "make /dev in it"),
        (Archive::default().symlink("run", &place), "make /run in it"),
        (Archive::default().file("x", "x").file("x/y", "y"), "unpack x/y"),
    ] {
        let bytes = archive.finish();
        for more in [&[][..], &["--image", &image, "--size", "8M"]] {
            fs::write(&file, &bytes)?;
            let outcome = host.subhostctl(&[&["create", &name, "--tar", &text(&file)][..], more].concat())?;
            fs::remove_file(&file)?;
            assert!(outcome.code == 1 && outcome.stderr.contains(word), "{word}: {outcome}");
            assert_eq!(names(host)?, before, "{word}");
        }
    }
    canary.unharmed()?;
    // What a terminal acts on is not told.
    fs::write(&file, Archive::default().file("\u{1b}[2J/../x", "x").finish())?;
    let outcome = host.subhostctl(&["create", &name, "--tar", &text(&file)])?;
    assert!(outcome.code == 1 && !outcome.stderr.contains('\u{1b}'), "{outcome}");
    Ok(())
}

/// An image in OCI's layout that is being made.
struct Oci<'a> {
    host: &'a Host,
    directory: PathBuf,
}

impl<'a> Oci<'a> {
    fn new(host: &'a Host, name: &str) -> std::io::Result<Oci<'a>> {
        let directory = host.directory().join(name);
        fs::create_dir_all(directory.join("blobs/sha256"))?;
        Ok(Oci { host, directory })
    }

    fn sum(&self, bytes: &[u8]) -> std::io::Result<String> {
        let file = self.directory.join("blob");
        fs::write(&file, bytes)?;
        let sum = self.host.witness("sha256sum", &[&text(&file)])?;
        Ok(sum.split(' ').next().unwrap_or_default().to_owned())
    }

    /// Adds a blob, and gives its descriptor.
    fn blob(&self, kind: &str, bytes: &[u8]) -> std::io::Result<String> {
        let sum = self.sum(bytes)?;
        fs::rename(self.directory.join("blob"), self.directory.join("blobs/sha256").join(&sum))?;
        Ok(format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"sha256:{sum}","size":{}}}"#,
            bytes.len()
        ))
    }

    /// An image of these layers, of which some are packed.
    fn image(&self, layers: &[Vec<u8>]) -> Verdict {
        let (mut descriptors, mut ids) = (Vec::new(), Vec::new());
        for (number, layer) in layers.iter().enumerate() {
            ids.push(format!("\"sha256:{}\"", self.sum(layer)?));
            let mut bytes = layer.clone();
            if number % 2 == 1 {
                let file = text(&self.directory.join("layer"));
                fs::write(&file, layer)?;
                self.host.witness("gzip", &["-n", &file])?;
                bytes = fs::read(format!("{file}.gz"))?;
                fs::remove_file(format!("{file}.gz"))?;
            }
            descriptors.push(self.blob("layer.v1.tar", &bytes)?);
        }
        let config = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#, ids.join(","));
        self.manifest(&self.blob("config.v1+json", config.as_bytes())?, &descriptors.join(","))
    }

    fn manifest(&self, config: &str, layers: &str) -> Verdict {
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#);
        let manifest = self.blob("manifest.v1+json", manifest.as_bytes())?;
        Ok(fs::write(self.directory.join("index.json"), format!(r#"{{"manifests":[{manifest}]}}"#))?)
    }
}

fn layers(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let place = text(canary.directory());
    let oci = Oci::new(host, "oci")?;
    let below = Archive::default()
        .file("gone", "x")
        .file("stays", "below")
        .directory("dir")
        .file("dir/hidden", "x")
        .directory("dir/kept")
        .file("dir/kept/hidden", "x")
        .directory("tree")
        .file("tree/deep", "x")
        .file("was-file", "x")
        .directory("was-directory")
        .file("was-directory/x", "x")
        .symlink("away", &place);
    let above = Archive::default()
        .file(".wh.gone", "")
        .file("dir/kept/new", "new")
        .file("dir/.wh..wh..opq", "")
        .file("dir/new", "new")
        .file(".wh.tree", "")
        .directory("was-file")
        .file("was-directory", "now a file")
        // Neither through a link nor upwards is anything of the host hidden.
        .file("away/.wh.secret", "")
        .file("away/.wh..wh..opq", "")
        .file(".wh..wh.plnk", "");
    let third = Archive::default().file("gone", "again").file(".wh.nothing", "").file("third", "x");
    oci.image(&[below.finish(), above.finish(), third.finish()])?;
    let name = host.name("oci");
    host.done(&["create", &name, "--oci", &text(&oci.directory)])?;
    canary.unharmed()?;
    let root = host.subhost_dir().join(&name).join("root");
    let found = host.witness("find", &[&text(&root), "-mindepth", "1", "-printf", "%P %y\n"])?;
    let own = ["etc", "dev", "proc", "sys", "run", place.split('/').nth(1).unwrap_or_default()];
    let mut lines: Vec<&str> = found
        .lines()
        .filter(|line| !own.contains(&line.split(['/', ' ']).next().unwrap_or_default()))
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "away l",
            "dir d",
            "dir/kept d",
            "dir/kept/new f",
            "dir/new f",
            "gone f",
            "stays f",
            "third f",
            "was-directory f",
            "was-file d",
        ]
    );
    assert_eq!(fs::read_to_string(root.join("gone"))?, "again");
    for (number, name) in [".wh..", ".wh...", ".wh.", "a/.wh..."].into_iter().enumerate() {
        let oci = Oci::new(host, &format!("tricks{number}"))?;
        oci.image(&[
            Archive::default().file("a/x", "x").finish(),
            Archive::default().file(name, "").finish(),
        ])?;
        let outcome = host.subhostctl(&["create", &host.name("x"), "--oci", &text(&oci.directory)])?;
        assert!(outcome.code == 1 && outcome.stderr.contains("hides nothing"), "{name}: {outcome}");
    }
    Ok(())
}

fn oci(host: &Host) -> Verdict {
    let canary = Canary::plant(host)?;
    let name = host.name("oci");
    fs::create_dir(host.subhost_dir())?;
    let layer = || {
        vec![
            Archive::default().file("file", "content").finish(),
            Archive::default().file("second", "x").finish(),
        ]
    };
    let good = Oci::new(host, "good")?;
    good.image(&layer())?;
    let fails = |directory: &Path, word: &str| -> Verdict {
        let outcome = host.subhostctl(&["create", &name, "--oci", &text(directory)])?;
        assert!(outcome.code == 1 && outcome.stderr.contains(word), "{word}: {outcome}");
        assert_eq!(fs::read_dir(host.subhost_dir())?.count(), 0, "{word}");
        Ok(())
    };
    // One byte of each blob, in its turn.
    for entry in fs::read_dir(good.directory.join("blobs/sha256"))? {
        let path = entry?.path();
        let mut bytes = fs::read(&path)?;
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::write(&path, &bytes)?;
        fails(&good.directory, "what it holds has sha256:")?;
        bytes[at] ^= 1;
        fs::write(&path, &bytes)?;
        fs::write(&path, &bytes[1..])?;
        fails(&good.directory, "bytes, not")?;
        fs::write(&path, &bytes)?;
    }
    // A layer that is what its digest says, but not what was unpacked of the image when it was made.
    let lying = Oci::new(host, "lying")?;
    let config = format!(r#"{{"rootfs":{{"diff_ids":["sha256:{}"]}}}}"#, "0".repeat(64));
    let blob = lying.blob("layer.v1.tar", &layer()[0])?;
    lying.manifest(&lying.blob("config.v1+json", config.as_bytes())?, &blob)?;
    fails(&lying.directory, "what it holds has sha256:")?;
    // Digests that are paths.
    let secret = text(&canary.directory().join("secret"));
    for digest in
        [&*format!("sha256:../../../../../..{secret}"), &*format!("../../../..{secret}"), "sha256:", "md5:00"]
    {
        let descriptor = format!(r#"{{"mediaType":"x","digest":"{digest}","size":24}}"#);
        fs::write(lying.directory.join("index.json"), format!(r#"{{"manifests":[{descriptor}]}}"#))?;
        fails(&lying.directory, "no SHA-256 digest")?;
    }
    // A blob that is a link to a file of the host.
    let leading = Oci::new(host, "leading")?;
    leading.image(&layer())?;
    let sum = leading.sum(&fs::read(canary.directory().join("secret"))?)?;
    fs::remove_file(leading.directory.join("blob"))?;
    symlink(&secret, leading.directory.join("blobs/sha256").join(&sum))?;
    let descriptor = format!(r#"{{"mediaType":"x","digest":"sha256:{sum}","size":24}}"#);
    fs::write(leading.directory.join("index.json"), format!(r#"{{"manifests":[{descriptor}]}}"#))?;
    fails(&leading.directory, "No such file")?;
    // An index that leads to itself cannot be made, but a long way can.
    host.done(&["create", &name, "--oci", &text(&good.directory)])?;
    assert_eq!(fs::read_to_string(host.subhost_dir().join(&name).join("root/file"))?, "content");
    Ok(())
}
