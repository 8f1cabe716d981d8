//! Makes a subhost: a directory for `start`, or an image and a configuration for `boot`.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use subhost_mount::rootdir::RootDir;

use super::args;
use super::disk::Shape;
use super::oci::OciImage;
use super::progress::Progress;
use super::setup::set_up;
use super::site::Site;
use super::source::Stream;
use super::unpack::Unpack;
use crate::error::{Context, Error};
use crate::layout::Layout;
use crate::shell;
use crate::supervise::Signals;

/// The most that is taken for public keys.
const MAX_KEY_BYTES: u64 = 1 << 20;

/// Where the root of the new one comes from.
pub enum From {
    /// Packages of a suite.
    Suite {
        /// Its name.
        suite: String,
        /// Where they are fetched from.
        mirror: Option<String>,
        /// Those beside the usual ones.
        include: Vec<String>,
    },
    /// An archive.
    Tar(PathBuf),
    /// An image in OCI's layout.
    Oci(PathBuf),
    /// The root of another one, that is kept from being started.
    Tree(RootDir),
}

/// Makes it, and returns what was made.
///
/// # Errors
/// The step that failed, or a signal; then nothing is left.
pub fn create(
    args: &args::Create,
    from: &From,
    layout: &Layout,
    signals: &Signals,
    progress: &Progress,
) -> Result<String, Error> {
    let keys = args.ssh_key.as_deref().map(keys).transpose()?;
    let above = if args.image.is_some() { &layout.root_dir } else { &layout.subhost_dir };
    let mut site = Site::begin(layout, &args.name, above)?;
    let config = site.directory.join("config");
    let write = |text: String| fs::write(&config, text).step(format!("write {}", config.display()));
    let made = match (&args.image, args.size) {
        (Some(place), Some(size)) => {
            let shape = Shape { size, table: args.table, filesystem: args.filesystem };
            let place = std::path::absolute(place).step("name the image")?;
            let file = site.image(&place)?;
            progress.step(&format!("{}: makes {}", args.name, place.display()));
            let disk = shape.make(&file, signals)?;
            let root = disk.mount.root().step("open the new root")?;
            fill(&root, from, &site.directory, signals, progress)?;
            set_up(&root, &args.name, Some(shape), keys.as_deref())?;
            drop(root);
            drop(disk);
            let image = shell::quote(&place);
            write(format!("DISKS=( vda:{}:{image} )\nBRIDGES=()\n", shape.partition()))?;
            format!("{} with {}", layout.config(&args.name).display(), place.display())
        }
        _ => {
            let directory = site.directory.join("root");
            fs::create_dir(&directory).step(format!("make {}", directory.display()))?;
            let root = RootDir::open(&directory).step("open the new root")?;
            fill(&root, from, &site.directory, signals, progress)?;
            set_up(&root, &args.name, None, keys.as_deref())?;
            write("BRIDGES=()\n".to_owned())?;
            layout.tree(&args.name).display().to_string()
        }
    };
    site.finish()?;
    Ok(made)
}

/// Fills an empty root.
fn fill(
    root: &RootDir,
    from: &From,
    directory: &Path,
    signals: &Signals,
    progress: &Progress,
) -> Result<(), Error> {
    let mut unpack = Unpack::new(root);
    let mut stream = match from {
        From::Suite { suite, mirror, include } => {
            progress.step(&format!("installs {suite}"));
            let tmp = directory.join("tmp");
            fs::create_dir(&tmp).step(format!("make {}", tmp.display()))?;
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
            fs::set_permissions(&tmp, open).step(format!("open {}", tmp.display()))?;
            Stream::of_suite(suite, mirror.as_deref(), include, &tmp, signals, progress)?
        }
        From::Tar(path) => {
            progress.step(&format!("unpacks {}", path.display()));
            Stream::of_file(File::open(path).step(format!("open {}", path.display()))?, signals, progress)?
        }
        From::Oci(path) => {
            let image = OciImage::open(path)?;
            for number in 0..image.layers() {
                progress.step(&format!("unpacks layer {} of {}", number + 1, image.layers()));
                image.unpack(number, &mut unpack, signals, progress)?;
            }
            return unpack.finish();
        }
        From::Tree(other) => {
            progress.step("copies the root");
            let fd = other.as_fd().try_clone_to_owned().step("hold the root")?;
            Stream::of_tree(fd, signals, progress)?
        }
    };
    unpack.archive(&mut stream)?;
    stream.finish()?;
    unpack.finish()?;
    // Of what has made it.
    let tmp = directory.join("tmp");
    if tmp.exists() {
        let directory = RootDir::open(directory).step("open the directory")?;
        directory.remove_tree(Path::new("tmp")).step(format!("remove {}", tmp.display()))?;
    }
    Ok(())
}

fn keys(path: &Path) -> Result<Vec<u8>, Error> {
    let step = || format!("read the keys in {}", path.display());
    let above = path.parent().filter(|above| *above != Path::new("")).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or("it is not a file").step(step())?;
    let keys = RootDir::open(above).and_then(|above| above.read_small(Path::new(name), MAX_KEY_BYTES));
    keys.step(step())
}
