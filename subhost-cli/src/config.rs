//! From a name to a request: reads the configuration, and puts the command line over it.

use std::path::{Path, PathBuf};

use subhost_config::schema::{Environment, InitChoice, Setting};
use subhost_config::{
    Diagnostic, Evaluator, FilePolicy, Host, IncludePolicy, LoadError, LoadedConfig, Source, Sources,
    SubhostConfig, Trust, Variables, load, overlay_boot, parse,
};

use crate::args::Devices;
use crate::config_exec::executed;
use crate::error::{Complaint, Error};
use crate::layout::{Layout, Name};
use crate::request::Request;

/// The directory of what the configurations of subhosts have in common, and may include.
const INCLUDE_DIR: &str = "/etc/subhost";

/// What a file may look at beside itself.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// It may include what lies below these directories. Only root may be able to write such a file, so with it a
    /// configuration is as trustworthy as it was.
    pub include_dirs: Vec<PathBuf>,
    /// It may look at files below these directories, whoever owns them.
    pub file_dirs: Vec<PathBuf>,
}

impl Reach {
    /// That of a subhost's own configuration. It looks at no files: what it means shall not depend on the moment.
    fn of_subhosts() -> Reach {
        Reach { include_dirs: vec![INCLUDE_DIR.into()], file_dirs: Vec::new() }
    }

    /// Evaluates a text within it. Nothing is executed.
    fn evaluate(self, source: &Source) -> (Variables, Vec<Diagnostic>) {
        let evaluator = Evaluator::new()
            .includes(IncludePolicy::directories(self.include_dirs))
            .files(FilePolicy::directories(self.file_dirs))
            .host(Host::this());
        let (script, mut diagnostics) = parse(source);
        let (variables, found) = evaluator.run(&script);
        diagnostics.extend(found);
        (variables, diagnostics)
    }
}

/// How a configuration becomes variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum How {
    /// It is evaluated, as ever.
    #[default]
    Evaluate,
    /// A bash runs it, since somebody asked for that. Only one that root alone could have written.
    Execute,
}

/// A configuration that was read.
pub struct Loaded {
    /// Its path.
    pub path: PathBuf,
    /// Its text, and those that it includes.
    pub sources: Sources,
    /// Whether only root can have written it.
    pub trust: Trust,
    /// What was found about it.
    pub diagnostics: Vec<Diagnostic>,
    /// Its meaning; `None` if there are errors.
    pub config: Option<SubhostConfig>,
}

impl Loaded {
    /// The configuration of a subhost: a file given by path, or the one in its directory.
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
        how: How,
    ) -> Result<Loaded, Error> {
        let path = path_of(layout, given, name);
        match load(&path) {
            Err(LoadError::Open { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound
                    && given.is_none()
                    && (!devices.disks.is_empty()
                        || std::env::var_os("DISKS").is_some_and(|it| !it.is_empty())) =>
            {
                Loaded::evaluate(
                    &path,
                    &Source::new(path.to_string_lossy(), ""),
                    Trust::Trusted,
                    How::Evaluate,
                )
            }
            Err(LoadError::Open { source, path })
                if source.kind() == std::io::ErrorKind::NotFound
                    && given.is_none()
                    && layout.is_tree(name) =>
            {
                let error = LoadError::Open { source, path: path.clone() };
                let tree = layout.tree(name);
                Err(Error::refused(
                    unreadable(&layout.config(name), &error)
                        .hint(format!("{} is for subhostctl start {name}", tree.display())),
                ))
            }
            loaded => Loaded::evaluated(&path, loaded, how),
        }
    }

    /// The configuration of a subhost that `start` starts: a file given by path, or the one in its directory. Without
    /// that, the defaults hold.
    ///
    /// # Errors
    /// A file that was given is not there, or it cannot be read.
    pub fn of_tree(layout: &Layout, given: Option<&Path>, name: &Name, how: How) -> Result<Loaded, Error> {
        let path = given.map_or_else(|| layout.tree(name).join("config"), Path::to_path_buf);
        match load(&path) {
            Err(LoadError::Open { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound && given.is_none() =>
            {
                let empty = Source::new(path.to_string_lossy(), "");
                Loaded::evaluate(&path, &empty, Trust::Trusted, How::Evaluate)
            }
            loaded => Loaded::evaluated(&path, loaded, how),
        }
    }

    /// Reads and evaluates a configuration. Nothing of it is executed.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
    pub fn read(path: &Path, how: How) -> Result<Loaded, Error> {
        Loaded::evaluated(path, load(path), how)
    }

    fn evaluated(path: &Path, loaded: Result<LoadedConfig, LoadError>, how: How) -> Result<Loaded, Error> {
        match loaded {
            Ok(loaded) => Loaded::evaluate(path, &loaded.source, loaded.trust, how),
            Err(error) => {
                let hint =
                    "a configuration holds DISKS=( vda:1:/path/to/disk.raw ) and BRIDGES=( bridge:mac )";
                Err(Error::refused(unreadable(path, &error).hint(hint)))
            }
        }
    }

    fn evaluate(path: &Path, source: &Source, trust: Trust, how: How) -> Result<Loaded, Error> {
        let (variables, mut diagnostics) = match (how, distrust(&trust)) {
            (How::Evaluate, _) => Reach::of_subhosts().evaluate(source),
            (How::Execute, None) => Reach::default().evaluate(&executed(source)?),
            (How::Execute, Some(reason)) => {
                let message = format!("configuration {} is not run by bash: {reason}", path.display());
                return Err(Error::refused(Complaint::new(message)));
            }
        };
        let (config, found) = SubhostConfig::from_variables(&variables, &Environment::of_process());
        diagnostics.extend(found);
        let failed = diagnostics.iter().any(Diagnostic::is_error);
        let sources = variables.sources().clone();
        Ok(Loaded {
            path: path.to_path_buf(),
            sources,
            trust,
            diagnostics,
            config: config.filter(|_| !failed),
        })
    }

    /// Why boot would not take it, if it would not.
    pub fn distrust(&self) -> Option<&str> {
        distrust(&self.trust)
    }

    /// The diagnostics as text.
    pub fn rendered(&self, colour: bool) -> String {
        rendered(&self.diagnostics, &self.sources, colour)
    }
}

/// The variables of a file, whatever it is for.
pub struct Evaluated {
    /// Whether only root can have written it.
    pub trust: Trust,
    /// What it sets; only good without an error in the diagnostics.
    pub variables: Variables,
    /// What was found about it.
    pub diagnostics: Vec<Diagnostic>,
}

impl Evaluated {
    /// Reads and evaluates a file of bash. Nothing of it is executed.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
    pub fn bash(path: &Path, reach: Reach) -> Result<Evaluated, Error> {
        Evaluated::read(path, |source| reach.evaluate(source))
    }

    /// Reads a file of overlay-boot. Nothing of it is executed.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
    pub fn overlay_boot(path: &Path) -> Result<Evaluated, Error> {
        Evaluated::read(path, overlay_boot::read)
    }

    fn read(
        path: &Path,
        evaluate: impl FnOnce(&Source) -> (Variables, Vec<Diagnostic>),
    ) -> Result<Evaluated, Error> {
        let LoadedConfig { source, trust, .. } =
            load(path).map_err(|error| Error::refused(unreadable(path, &error)))?;
        let (variables, diagnostics) = evaluate(&source);
        Ok(Evaluated { trust, variables, diagnostics })
    }

    /// True if something in it is wrong.
    pub fn is_refused(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
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
pub fn rendered(diagnostics: &[Diagnostic], sources: &Sources, colour: bool) -> String {
    diagnostics.iter().map(|diagnostic| subhost_config::render(diagnostic, sources, colour)).collect()
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
    if !devices.filesystems.is_empty() {
        config.filesystems = Setting::from_flag(devices.filesystems, "--filesystem");
    }
    if !devices.cables.is_empty() {
        config.cables = Setting::from_flag(devices.cables, "--cable");
    }
    if !devices.binds.is_empty() {
        config.binds = Setting::from_flag(devices.binds, "--bind");
    }
    if devices.ephemeral || devices.read_only {
        config.ephemeral = Setting::from_flag(Some(devices.ephemeral), "--ephemeral");
        config.readonly = Setting::from_flag(Some(devices.read_only), "--read-only");
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
                .hint("only root may own and write a configuration and the directories above it"),
        )),
    }
}
