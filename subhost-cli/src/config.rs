//! From a name to a request: reads the configuration, and puts the command line over it.

use std::path::{Path, PathBuf};

use subhost_config::schema::{Environment, InitChoice, Setting};
use subhost_config::{
    Diagnostic, Evaluator, LoadError, LoadedConfig, Source, SubhostConfig, Trust, Variables, load,
    overlay_boot, parse,
};

use crate::args::{Devices, Format};
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
    /// The configuration of a subhost: a file given by path, or the one in its folder.
    ///
    /// Where that is missing, disks from the environment or the command line are a whole configuration.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
    pub fn of(
        layout: &Layout,
        given: Option<&Path>,
        name: &Name,
        devices: &Devices,
    ) -> Result<Loaded, Error> {
        let path = path_of(layout, given, name);
        match load(&path) {
            Err(LoadError::Open { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound
                    && given.is_none()
                    && (!devices.disks.is_empty()
                        || std::env::var_os("DISKS").is_some_and(|it| !it.is_empty())) =>
            {
                Ok(Loaded::evaluate(&path, Source::new(path.to_string_lossy(), ""), Trust::Trusted))
            }
            loaded => Loaded::evaluated(&path, loaded),
        }
    }

    /// Reads and evaluates a configuration. Nothing of it is executed.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
    pub fn read(path: &Path) -> Result<Loaded, Error> {
        Loaded::evaluated(path, load(path))
    }

    fn evaluated(path: &Path, loaded: Result<LoadedConfig, LoadError>) -> Result<Loaded, Error> {
        match loaded {
            Ok(loaded) => Ok(Loaded::evaluate(path, loaded.source, loaded.trust)),
            Err(error) => {
                let hint =
                    "a configuration holds DISKS=( vda:1:/path/to/disk.raw ) and BRIDGES=( bridge:mac )";
                Err(Error::refused(unreadable(path, &error).hint(hint)))
            }
        }
    }

    fn evaluate(path: &Path, source: Source, trust: Trust) -> Loaded {
        let (variables, mut diagnostics) = evaluate(&source);
        let (config, found) = SubhostConfig::from_variables(&variables, &source, &Environment::of_process());
        diagnostics.extend(found);
        let failed = diagnostics.iter().any(Diagnostic::is_error);
        Loaded { path: path.to_path_buf(), source, trust, diagnostics, config: config.filter(|_| !failed) }
    }

    /// Why boot would not take it, if it would not.
    pub fn distrust(&self) -> Option<&str> {
        distrust(&self.trust)
    }

    /// The diagnostics as text.
    pub fn rendered(&self, colour: bool) -> String {
        rendered(&self.diagnostics, &self.source, colour)
    }
}

/// The variables of a file, whatever it is for.
pub struct Evaluated {
    /// Its text.
    pub source: Source,
    /// Whether only root can have written it.
    pub trust: Trust,
    /// What it sets; only good without an error in the diagnostics.
    pub variables: Variables,
    /// What was found about it.
    pub diagnostics: Vec<Diagnostic>,
}

impl Evaluated {
    /// Reads and evaluates a file. Nothing of it is executed.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
    pub fn read(path: &Path, format: Format) -> Result<Evaluated, Error> {
        let LoadedConfig { source, trust, .. } =
            load(path).map_err(|error| Error::refused(unreadable(path, &error)))?;
        let (variables, diagnostics) = match format {
            Format::Bash => evaluate(&source),
            Format::OverlayBoot => overlay_boot::read(&source),
        };
        Ok(Evaluated { source, trust, variables, diagnostics })
    }

    /// True if something in it is wrong.
    pub fn is_refused(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

fn evaluate(source: &Source) -> (Variables, Vec<Diagnostic>) {
    let (script, mut diagnostics) = parse(source);
    let (variables, found) = Evaluator::new().run(&script);
    diagnostics.extend(found);
    (variables, diagnostics)
}

fn unreadable(path: &Path, error: &LoadError) -> Complaint {
    Complaint::new(format!("configuration {}: {error}", path.display()))
}

/// Why the commands that apply would not take it, if they would not.
pub fn distrust(trust: &Trust) -> Option<&str> {
    match trust {
        Trust::Trusted => None,
        Trust::Untrusted(reason) => Some(reason),
    }
}

/// Diagnostics as text.
pub fn rendered(diagnostics: &[Diagnostic], source: &Source, colour: bool) -> String {
    diagnostics.iter().map(|diagnostic| subhost_config::render(diagnostic, source, colour)).collect()
}

/// The path of a subhost's configuration.
pub fn path_of(layout: &Layout, given: Option<&Path>, name: &Name) -> PathBuf {
    given.map_or_else(|| layout.config(name), Path::to_path_buf)
}

/// The request of a subhost: its configuration under the command line.
///
/// # Errors
/// The configuration is wrong, or the command line.
pub fn request(
    loaded: &Loaded,
    name: Name,
    devices: Devices,
    init: Option<String>,
) -> Result<Request, Error> {
    let Some(config) = &loaded.config else {
        return Err(Error::Configuration(loaded.rendered(false)));
    };
    Ok(Request::from_config(name, &under_command_line(config, devices, init)?))
}

/// A configuration with what the command line sets instead.
///
/// # Errors
/// The command line names something that is no init.
pub fn under_command_line(
    config: &SubhostConfig,
    devices: Devices,
    init: Option<String>,
) -> Result<SubhostConfig, Error> {
    let mut config = config.clone();
    if !devices.disks.is_empty() {
        config.disks = Setting::from_flag(devices.disks, "--disk");
    }
    if !devices.cables.is_empty() {
        config.cables = Setting::from_flag(devices.cables, "--cable");
    }
    let init = match init.as_deref() {
        None => return Ok(config),
        Some("auto") => InitChoice::Auto,
        Some(path) if path.starts_with('/') => InitChoice::Path(path.to_owned()),
        Some(path) => {
            return Err(Error::refused(Complaint::new(format!(
                "--init {path}: is neither an absolute path nor 'auto'"
            ))));
        }
    };
    config.init = Setting::from_flag(init, "--init");
    Ok(config)
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
