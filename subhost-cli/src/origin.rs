//! How a subhost came to be: what it takes to boot it the same way again.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use serde::{Deserialize, Serialize};
use subhost_config::schema::Environment;

use crate::error::{Context, Error};
use crate::layout::{Layout, Name};

/// The option that has `boot` return when the subhost is ready.
const DETACH: &str = "--detach";

/// How a subhost was booted, so that it can be booted the same way again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The words behind the program's name.
    pub words: Vec<OsString>,
    /// The folder that relative paths start from.
    pub directory: OsString,
    /// The variables that hold settings.
    pub environment: Vec<(OsString, OsString)>,
}

impl Origin {
    /// How this program was called.
    ///
    /// # Errors
    /// The working directory is gone.
    pub fn of_this(words: &[OsString]) -> Result<Origin, Error> {
        Ok(Origin {
            words: words.to_vec(),
            directory: std::env::current_dir().step("find the working directory")?.into(),
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
        command.args(self.words.iter().filter(|word| *word != DETACH)).arg(DETACH);
        if !self.directory.is_empty() {
            command.current_dir(&self.directory);
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().cloned());
        Ok(command)
    }
}

/// Whether a variable of the environment holds a setting, or the folder of trees.
pub fn is_setting(name: &OsStr) -> bool {
    name == "SUBHOST" || name.to_str().is_some_and(Environment::is_setting)
}
