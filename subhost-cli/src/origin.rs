//! How a subhost came to be: what `restart` needs to boot it the same way again.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};
use subhost_config::schema::Environment;

use crate::error::{Context, Error};
use crate::layout::{Layout, Name};

/// What says to a supervisor that it is one.
const BACKGROUND: &str = "--background";
const DETACH: &str = "--detach";

/// The command line of a boot, and what else it was read with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The words behind the program's name, but for those that say where it runs.
    words: Vec<OsString>,
    /// The folder that paths among them start from.
    directory: PathBuf,
    /// The settings that came from the environment.
    environment: Vec<(OsString, OsString)>,
}

impl Origin {
    /// That of this process.
    ///
    /// # Errors
    /// Its folder is not there any more.
    pub fn of_process() -> Result<Origin, Error> {
        let words = crate::commands::command_line(std::env::args_os().collect()).into_iter().skip(1);
        Ok(Origin {
            words: words.filter(|word| word != BACKGROUND && word != DETACH).collect(),
            directory: std::env::current_dir().step("find the caller's folder")?,
            environment: std::env::vars_os().filter(|(name, _)| is_setting(name)).collect(),
        })
    }

    /// A boot of the name, with nothing else said.
    pub fn of_name(layout: &Layout, name: &Name) -> Origin {
        let root_dir = std::path::absolute(&layout.root_dir).unwrap_or_else(|_| layout.root_dir.clone());
        let words = [OsString::from("--root-dir"), root_dir.into(), "boot".into(), name.as_str().into()];
        Origin { words: words.into(), ..Origin::default() }
    }

    /// The same boot once more, in the background; back when it is ready.
    ///
    /// # Errors
    /// The program is not found.
    pub fn command(&self) -> Result<Command, Error> {
        let mut command = Command::new(std::env::current_exe().step("find ourselves")?);
        command.args(&self.words).arg(DETACH);
        if !self.directory.as_os_str().is_empty() {
            command.current_dir(&self.directory);
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().cloned());
        Ok(command)
    }
}

fn is_setting(name: &OsStr) -> bool {
    name.to_str().is_some_and(Environment::is_setting)
}
