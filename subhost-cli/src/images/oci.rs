//! Images in OCI's layout: a directory with an index, and blobs that are named by what is in them.
//!
//! What is read is believed only when it is what its digest says. Digests are the only paths, and are of hexadecimal
//! digits.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subhost_mount::rootdir::RootDir;

use super::progress::Progress;
use super::source::{Stream, read_rest};
use super::tool::Heeding;
use super::unpack::Unpack;
use crate::error::{Context, Error};
use crate::supervise::Signals;

/// The longest document.
const MAX_JSON_BYTES: u64 = 4 << 20;

/// How many indexes may lead to one another, and how many layers an image may have.
const MAX_DEPTH: usize = 4;
const MAX_LAYERS: usize = 512;

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// An image whose documents are read.
pub struct OciImage {
    directory: RootDir,
    /// Each with the digest of what is unpacked of it.
    layers: Vec<(Descriptor, String)>,
}

impl OciImage {
    /// Reads the documents of the image for this machine, or of the only one.
    ///
    /// # Errors
    /// One of them is not there, or not what its digest says.
    pub fn open(path: &Path) -> Result<OciImage, Error> {
        let step = || format!("read the image {}", path.display());
        let directory = RootDir::open(path).step(step())?;
        let text = directory.read_small(Path::new("index.json"), MAX_JSON_BYTES).step(step())?;
        let mut index: Index = serde_json::from_slice(&text).step(step())?;
        for _ in 0..MAX_DEPTH {
            let found = choose(index.manifests).ok_or("it has none for this machine").step(step())?;
            let text = document(&directory, &found)?;
            if !found.media_type.ends_with(".index.v1+json") && !found.media_type.contains("manifest.list") {
                let manifest: Manifest = serde_json::from_slice(&text).step(step())?;
                let config: Config =
                    serde_json::from_slice(&document(&directory, &manifest.config)?).step(step())?;
                let ids = config.rootfs.diff_ids;
                if ids.len() != manifest.layers.len() || ids.len() > MAX_LAYERS {
                    return Err("its documents differ on how many layers there are").step(step());
                }
                return Ok(OciImage { directory, layers: manifest.layers.into_iter().zip(ids).collect() });
            }
            index = serde_json::from_slice(&text).step(step())?;
        }
        Err("its index leads to others without end").step(step())
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Unpacks a layer over those before it.
    ///
    /// # Errors
    /// It is not what its digest says, or cannot be unpacked.
    pub fn unpack(
        &self,
        number: usize,
        unpack: &mut Unpack<'_>,
        signals: &Signals,
        progress: &Progress,
    ) -> Result<(), Error> {
        let (layer, id) = &self.layers[number];
        let step = || format!("layer {}", layer.digest);
        let mut file = blob(&self.directory, layer)?;
        let mut sum = Summed::new(Heeding::new(file.try_clone().step(step())?, signals));
        io::copy(&mut sum, &mut io::sink()).step(step())?;
        sum.demand(&layer.digest).step(step())?;
        file.seek(SeekFrom::Start(0)).step(step())?;
        let mut stream = Summed::new(Stream::of_file(file, signals, progress)?);
        unpack.layer(&mut stream)?;
        read_rest(&mut stream)?;
        // It is this that was unpacked, also where the file was changed meanwhile.
        stream.demand(id).step(step())?;
        stream.inner.finish()
    }
}

/// The one for this machine; of those that say nothing, the first.
fn choose(manifests: Vec<Descriptor>) -> Option<Descriptor> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits = |platform: &Platform| platform.os == "linux" && platform.architecture == architecture;
    manifests.into_iter().find(|found| found.platform.as_ref().is_none_or(fits))
}

/// A blob as a document.
fn document(directory: &RootDir, wanted: &Descriptor) -> Result<Vec<u8>, Error> {
    let step = || format!("read {}", wanted.digest);
    let mut sum = Summed::new(blob(directory, wanted)?.take(MAX_JSON_BYTES));
    let mut text = Vec::new();
    sum.read_to_end(&mut text).step(step())?;
    sum.demand(&wanted.digest).step(step())?;
    Ok(text)
}

fn blob(directory: &RootDir, wanted: &Descriptor) -> Result<File, Error> {
    let step = || format!("open {}", wanted.digest);
    let file = directory.open_file(&path_of(&wanted.digest).step(step())?).step(step())?;
    let size = file.metadata().step(step())?.len();
    if size == wanted.size {
        Ok(file)
    } else {
        Err(format!("it has {size} bytes, not {}", wanted.size)).step(step())
    }
}

/// Where a blob is, of a digest that can be nothing else.
fn path_of(digest: &str) -> Result<PathBuf, String> {
    let digits = digest.strip_prefix("sha256:").unwrap_or_default();
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() == 64 && digits.bytes().all(is_digit) {
        return Ok(Path::new("blobs/sha256").join(digits));
    }
    Err("it is no SHA-256 digest".to_owned())
}

/// What is read, and its digest so far.
struct Summed<R> {
    inner: R,
    sum: Sha256,
}

impl<R: Read> Summed<R> {
    fn new(inner: R) -> Summed<R> {
        Summed { inner, sum: Sha256::new() }
    }

    fn demand(&self, digest: &str) -> Result<(), String> {
        let sum = self.sum.clone().finalize();
        let found: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        if format!("sha256:{found}") == digest {
            Ok(())
        } else {
            Err(format!("what it holds has sha256:{found}"))
        }
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.sum.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_no_paths() {
        let good = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(path_of(&good).unwrap(), Path::new("blobs/sha256").join("0a".repeat(32)));
        for bad in [
            "",
            "sha256:",
            "sha256:../../../../etc/passwd",
            &format!("sha256:{}", "0A".repeat(32)),
            &format!("sha256:{}/", "0a".repeat(32)),
            &format!("sha256:..{}", "0a".repeat(31)),
            &format!("../x:{}", "0a".repeat(32)),
            &format!("sha512:{}", "0a".repeat(64)),
        ] {
            assert!(path_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_image_for_this_machine_is_taken() {
        let of = |architecture: &str, os: &str| Descriptor {
            media_type: String::new(),
            digest: format!("{os}/{architecture}"),
            size: 0,
            platform: Some(Platform { architecture: architecture.to_owned(), os: os.to_owned() }),
        };
        let ours = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        let found = choose(vec![of("s390x", "linux"), of(ours, "windows"), of(ours, "linux")]);
        assert_eq!(found.map(|it| it.digest), Some(format!("linux/{ours}")));
        assert!(choose(vec![of("s390x", "linux")]).is_none());
        let any = Descriptor { platform: None, ..of("", "any") };
        assert_eq!(choose(vec![any]).map(|it| it.digest).as_deref(), Some("any/"));
    }
}
