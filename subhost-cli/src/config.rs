//! From a name to a request: reads the configuration, and puts the command line over it.

use std::path::{Path, PathBuf};

use subhost_config::schema::{Environment, InitChoice};
use subhost_config::{Diagnostic, Evaluator, Source, SubhostConfig, Trust, load, parse};

use crate::args::Devices;
use crate::error::{Complaint, Error};
use crate::layout::{Layout, Name};
use crate::request::Request;

/// A configuration that was read.
pub struct Loaded {
    /// Its path.
    pub path: PathBuf,
    /// Its text.
    pub source: Source,
    /// Whether only root can have written it.
    pub trust: Trust,
    /// What was found about it.
    pub diagnostics: Vec<Diagnostic>,
    /// Its meaning; `None` if there are errors.
    pub config: Option<SubhostConfig>,
}

impl Loaded {
    /// Reads and evaluates a configuration. Nothing of it is executed.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
    pub fn read(path: &Path) -> Result<Loaded, Error> {
        let loaded =
            load(path).map_err(|error| {
                Error::refused(Complaint::new(error.to_string()).hint(
                    "a configuration holds DISKS=( vda:1:/path/to/disk.raw ) and BRIDGES=( bridge:mac )",
                ))
            })?;
        let (script, mut diagnostics) = parse(&loaded.source);
        let (variables, found) = Evaluator::new().run(&script);
        diagnostics.extend(found);
        let (config, found) =
            SubhostConfig::from_variables(&variables, &loaded.source, &Environment::of_process());
        diagnostics.extend(found);
        let failed = diagnostics.iter().any(Diagnostic::is_error);
        Ok(Loaded {
            path: path.to_path_buf(),
            source: loaded.source,
            trust: loaded.trust,
            diagnostics,
            config: config.filter(|_| !failed),
        })
    }

    /// Why boot would not take it, if it would not.
    pub fn distrust(&self) -> Option<&str> {
        match &self.trust {
            Trust::Trusted => None,
            Trust::Untrusted(reason) => Some(reason),
        }
    }

    /// The diagnostics as text.
    pub fn rendered(&self, colour: bool) -> String {
        self.diagnostics
            .iter()
            .map(|diagnostic| subhost_config::render(diagnostic, &self.source, colour))
            .collect()
    }
}

/// The path of a subhost's configuration.
pub fn path_of(layout: &Layout, given: Option<&Path>, name: &Name) -> PathBuf {
    given.map_or_else(|| layout.config(name), Path::to_path_buf)
}

/// The request of a subhost: its configuration under the command line.
///
/// # Errors
/// The configuration cannot be read or is wrong.
pub fn request(
    loaded: &Loaded,
    name: Name,
    devices: Devices,
    init: Option<String>,
) -> Result<Request, Error> {
    let Some(config) = &loaded.config else {
        return Err(Error::Configuration(loaded.rendered(false)));
    };
    let mut request = Request::from_config(name, config);
    if !devices.disks.is_empty() {
        request.disks = devices.disks;
    }
    if !devices.cables.is_empty() {
        request.cables = devices.cables;
    }
    match init.as_deref() {
        None => {}
        Some("auto") => request.init = InitChoice::Auto,
        Some(path) if path.starts_with('/') => request.init = InitChoice::Path(path.to_owned()),
        Some(path) => {
            return Err(Error::refused(Complaint::new(format!(
                "--init {path}: is neither an absolute path nor 'auto'"
            ))));
        }
    }
    Ok(request)
}

/// Demands that only root can have written the configuration.
///
/// # Errors
/// Somebody else can change it.
pub fn demand_trust(loaded: &Loaded) -> Result<(), Error> {
    match loaded.distrust() {
        None => Ok(()),
        Some(reason) => Err(Error::refused(
            Complaint::new(format!("{}: is not trusted: {reason}", loaded.path.display()))
                .hint("only root may own and write a configuration and the folders above it"),
        )),
    }
}
