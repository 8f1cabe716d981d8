//! How a subhost came to be: what it takes to boot it the same way again.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use serde::{Deserialize, Serialize};
use subhost_config::schema::Environment;

use crate::error::{Context, Error};
use crate::json::lossless;
use crate::layout::{Layout, Name};

/// The option that has `boot` return when the subhost is ready.
const DETACH: &str = "--detach";

/// How a subhost was booted, so that it can be booted the same way again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The words behind the program's name.
    #[serde(with = "lossless::list")]
    pub words: Vec<OsString>,
    /// The directory that relative paths start from.
    #[serde(with = "lossless::one")]
    pub directory: OsString,
    /// The variables that hold settings, each `NAME=value`.
    #[serde(with = "lossless::list")]
    pub environment: Vec<OsString>,
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
            environment: std::env::vars_os().filter(|(name, _)| is_setting(name)).map(assignment).collect(),
        })
    }

    /// The variables that hold settings: names and values.
    pub fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.environment.iter().filter_map(|word| {
            let at = word.as_bytes().iter().position(|byte| *byte == b'=')?;
            Some((OsStr::from_bytes(&word.as_bytes()[..at]), OsStr::from_bytes(&word.as_bytes()[at + 1..])))
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
        let mut command = Command::new(std::env::current_exe().step("find the running program")?);
        command.args(self.words.iter().filter(|word| *word != DETACH)).arg(DETACH);
        if !self.directory.is_empty() {
            command.current_dir(&self.directory);
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        command.envs(self.variables());
        Ok(command)
    }
}

/// A variable as `environ(7)` has it.
pub fn assignment((mut name, value): (OsString, OsString)) -> OsString {
    name.push("=");
    name.push(value);
    name
}

/// Whether a variable of the environment holds a setting, or the directory of trees.
pub fn is_setting(name: &OsStr) -> bool {
    name == "SUBHOST" || name.to_str().is_some_and(Environment::is_setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_whatever_the_bytes() {
        let odd = OsStr::from_bytes(b"--config=\xff").to_owned();
        let origin = Origin {
            words: vec!["boot".into(), odd.clone()],
            directory: odd,
            environment: vec!["DISKS=vda:1:/a=b".into(), "BRIDGES=".into()],
        };
        let text = serde_json::to_string(&origin).unwrap();
        assert!(text.contains(r#""words":["boot",["#), "{text}");
        let read: Origin = serde_json::from_str(&text).unwrap();
        assert_eq!(read, origin);
        let variables: Vec<_> = read.variables().collect();
        assert_eq!(
            variables,
            [("DISKS", "vda:1:/a=b"), ("BRIDGES", "")].map(|(a, b)| (a.as_ref(), b.as_ref()))
        );
    }
}
