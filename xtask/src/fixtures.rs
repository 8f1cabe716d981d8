//! `cargo xtask fixtures`: the images that the demo and the tests boot, made once for each recipe.

mod debian;
mod inits;
mod recipe;
mod tiny;
mod tree;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use subhost_tests::fixture::Fixture;

use crate::Outcome;
use crate::image::{Disk, FileSystem};
use crate::packages;
use crate::progress::{Step, Steps};
use recipe::Recipe;

/// Makes what is missing or of another recipe in `directory`: the busybox guest, and Debian if asked for.
pub(crate) fn build(directory: &Path, debian: bool, steps: &Steps) -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Err("the files in the guests belong to root: run this task as root".into());
    }
    packages::install(&[packages::DEMO], steps)?;
    if debian {
        packages::install(&[packages::DEBIAN_GUEST], steps)?;
    }
    fs::create_dir_all(directory.join(".recipes"))
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    // Two at once would only do the same work twice.
    let lock = File::create(directory.join(".lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let shelf = Shelf { directory: directory.to_owned() };
    shelf.make("busybox guest", &Fixture::TINY, &tiny::recipe()?, steps, tiny::tree)?;
    if debian {
        shelf.directory("part of Debian's mirror", Fixture::DebianMirror, &debian::mirror_recipe(), steps)?;
        let base = shelf.cache("debian base", &debian::base_recipe(), steps, debian::base)?;
        let recipe = debian::recipe()?;
        shelf.make("Debian guest", &Fixture::DEBIAN, &recipe, steps, |tree, step| {
            debian::tree(&base, tree, step)
        })?;
        let inits_base = shelf.cache("inits base", &inits::base_recipe(), steps, inits::base)?;
        let systemd_base =
            shelf.cache("systemd base", &inits::systemd_base_recipe(), steps, inits::systemd_base)?;
        for fixture in Fixture::INITS {
            let base = if fixture == Fixture::DebianSystemd { &systemd_base } else { &inits_base };
            let what = format!("guest of {}", fixture.file_name());
            shelf.make(&what, &[fixture], &inits::recipe()?, steps, |tree, step| {
                inits::tree(fixture, base, tree, step)
            })?;
        }
    }
    Ok(())
}

/// Fills an empty directory with a guest's files.
type Filler<'a> = &'a dyn Fn(&Path, &Step) -> Outcome;

/// A directory of things that were made, each with the recipe that it was made by.
struct Shelf {
    directory: PathBuf,
}

impl Shelf {
    /// Makes those of `fixtures` that are not there by this recipe.
    fn make(
        &self,
        what: &str,
        fixtures: &[Fixture],
        recipe: &Recipe,
        steps: &Steps,
        fill: impl Fn(&Path, &Step) -> Outcome,
    ) -> Outcome {
        let missing: Vec<Fixture> =
            fixtures.iter().copied().filter(|fixture| !self.has(fixture.file_name(), recipe)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let fill: Filler<'_> = &fill;
        steps.step(&format!("make the {what}'s images"), |step| {
            // Made beside and renamed, so that a name never stands for half an image.
            let beside = tempfile::Builder::new().prefix(".making-").tempdir_in(&self.directory)?;
            let (tree, data) = (beside.path().join("tree"), beside.path().join("data"));
            fs::create_dir(&tree)?;
            fill(&tree, step)?;
            fs::create_dir(&data)?;
            fs::write(data.join("hello"), "a data partition\n")?;
            for fixture in missing {
                let made = beside.path().join(fixture.file_name());
                if fixture == Fixture::TinyTree {
                    fs::create_dir(&made)?;
                    fill(&made, step)?;
                } else {
                    write_image(fixture, &tree, &data, &made, step)?;
                }
                self.put(&made, fixture.file_name(), recipe)?;
            }
            Ok(())
        })
    }

    /// A file that only other recipes need. Gives its path.
    fn cache(
        &self,
        what: &str,
        recipe: &Recipe,
        steps: &Steps,
        make: impl Fn(&Path, &Step) -> Outcome,
    ) -> Outcome<PathBuf> {
        let name = format!(".{}", what.replace(' ', "-"));
        if !self.has(&name, recipe) {
            steps.step(&format!("make the {what}"), |step| {
                let beside = tempfile::Builder::new().prefix(".making-").tempdir_in(&self.directory)?;
                let made = beside.path().join("file");
                make(&made, step)?;
                self.put(&made, &name, recipe)
            })?;
        }
        Ok(self.directory.join(name))
    }

    /// A directory that is no guest.
    fn directory(&self, what: &str, fixture: Fixture, recipe: &Recipe, steps: &Steps) -> Outcome {
        if self.has(fixture.file_name(), recipe) {
            return Ok(());
        }
        steps.step(&format!("fetch the {what}"), |step| {
            let beside = tempfile::Builder::new().prefix(".making-").tempdir_in(&self.directory)?;
            let made = beside.path().join("directory");
            fs::create_dir(&made)?;
            debian::mirror_part(&made, step)?;
            self.put(&made, fixture.file_name(), recipe)
        })
    }

    fn has(&self, name: &str, recipe: &Recipe) -> bool {
        let stamp = fs::read_to_string(self.stamp(name)).unwrap_or_default();
        stamp == recipe.stamp() && self.directory.join(name).exists()
    }

    /// Moves what was made to its name. The stamp goes first and comes last: a thing without one is made anew.
    fn put(&self, made: &Path, name: &str, recipe: &Recipe) -> Outcome {
        let (target, stamp) = (self.directory.join(name), self.stamp(name));
        // Somebody may have mounted something in an old tree: `rm` can be told not to go there.
        let mut rm = Command::new("rm");
        let removed = rm.args(["-rf", "--one-file-system", "--"]).args([&stamp, &target]).status()?;
        if !removed.success() {
            return Err(format!("rm -rf {}: {removed}", target.display()).into());
        }
        fs::rename(made, &target)?;
        fs::write(stamp, recipe.stamp())?;
        Ok(())
    }

    fn stamp(&self, name: &str) -> PathBuf {
        self.directory.join(".recipes").join(name)
    }
}

/// Writes one image. All sizes are in MiB.
fn write_image(fixture: Fixture, tree: &Path, data: &Path, path: &Path, step: &Step) -> Outcome {
    let size = match fixture {
        _ if Fixture::DEBIAN.contains(&fixture) => 512,
        _ if Fixture::INITS.contains(&fixture) => 320,
        _ => 8,
    };
    let root = |start| FileSystem { start, size, label: "subroot", content: tree };
    let more = |start| FileSystem { start, size: 2, label: "subdata", content: data };
    match fixture {
        Fixture::TinyMbr | Fixture::DebianMbr => {
            let table = format!("label: dos\nstart=1MiB, size={size}MiB, type=83, bootable\n");
            Disk { size: size + 2, table: Some(&table), file_systems: &[root(1)] }.write(path, step)
        }
        Fixture::TinyGpt | Fixture::DebianGpt => {
            let table = format!(
                "label: gpt\nstart=1MiB, size={size}MiB, type=linux, name=root\nsize=2MiB, type=linux, name=data\n"
            );
            let file_systems = [root(1), more(1 + size)];
            Disk { size: size + 4, table: Some(&table), file_systems: &file_systems }.write(path, step)
        }
        Fixture::TinyLogical => {
            // A logical partition begins after its own table, for which sfdisk takes 1 MiB.
            let table = format!(
                "label: dos\nstart=1MiB, size=2MiB, type=83\nstart=3MiB, type=5\nstart=4MiB, size={size}MiB, type=83\n"
            );
            let file_systems = [more(1), root(4)];
            Disk { size: size + 5, table: Some(&table), file_systems: &file_systems }.write(path, step)
        }
        Fixture::TinyBare
        | Fixture::DebianBare
        | Fixture::DebianOpenRc
        | Fixture::DebianRunit
        | Fixture::DebianSystemd => Disk { size, table: None, file_systems: &[root(0)] }.write(path, step),
        Fixture::TinyTree | Fixture::DebianMirror => Err("a directory is no image".into()),
    }
}
