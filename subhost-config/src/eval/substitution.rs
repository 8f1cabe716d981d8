//! `$( … )` of the few commands that are computed instead of run.

use super::{Run, Shell};
use crate::ast::{Call, Substitution};
use crate::code;
use crate::span::Span;

/// What a script may learn of the machine; what is none is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Host {
    /// For `hostname` and `uname -n`.
    pub name: Option<String>,
    /// For `uname -m`, as in `x86_64`.
    pub machine: Option<String>,
    /// For `uname -r`.
    pub release: Option<String>,
    /// For `nproc`.
    pub processors: Option<usize>,
}

impl Host {
    /// The machine that this program runs on.
    pub fn this() -> Self {
        let uname = rustix::system::uname();
        let text = |text: &std::ffi::CStr| Some(text.to_string_lossy().into_owned());
        Self {
            name: text(uname.nodename()),
            machine: text(uname.machine()),
            release: text(uname.release()),
            processors: std::thread::available_parallelism().ok().map(usize::from),
        }
    }
}

impl Shell<'_> {
    /// What a substitution gives, without the newlines at its end.
    pub(super) fn substitution(&mut self, substitution: &Substitution) -> Run<Vec<u8>> {
        let (mut output, span) = match substitution {
            Substitution::Command(call) => (self.computed(call)?, call.span),
            Substitution::File { path, span } => {
                let path = self.value(path)?;
                (self.file_text(&path, *span)?, *span)
            }
        };
        while output.last() == Some(&b'\n') {
            output.pop();
        }
        self.spend(output.len(), span)?;
        self.status = 0;
        Ok(output)
    }

    /// What a command would print.
    fn computed(&mut self, call: &Call) -> Run<Vec<u8>> {
        let span = call.span;
        let changed = self.touched;
        self.touched = false;
        let arguments = self.words(&call.arguments)?;
        if self.touched {
            let message = "an assignment inside of `$( … )` is lost in bash";
            return self.refuse(code::COMMAND_SUBSTITUTION, span, message, "move it out");
        }
        self.touched = changed;
        if self.functions.contains_key(&call.name) {
            let message = format!("`{}` is a function here, and is not computed", call.name);
            return self.refuse(code::COMMAND_SUBSTITUTION, span, message, "");
        }
        for argument in &arguments {
            self.refuse_garbled(argument, span)?;
        }
        let texts: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        let host = &self.settings.host;
        match (call.name.as_str(), &texts[..]) {
            ("basename", &[path]) => self.base_name(path, b"", span),
            ("basename", &[path, suffix]) => self.base_name(path, suffix, span),
            ("dirname", &[path]) => {
                self.refuse_option(path, span)?;
                Ok(directory_name(path))
            }
            ("cat", &[path]) => {
                self.refuse_option(path, span)?;
                self.file_text(path, span)
            }
            ("echo", _) => {
                let text = crate::printf::echo(&arguments);
                if text.contains(&0) {
                    return self.refuse(
                        code::COMMAND_SUBSTITUTION,
                        span,
                        "a NUL, which no value can hold",
                        "",
                    );
                }
                Ok(text)
            }
            ("printf", [b"--", format, ..]) => self.printed(format, &arguments[2..], span),
            ("printf", [format, ..]) if !format.starts_with(b"-") => {
                self.printed(format, &arguments[1..], span)
            }
            ("hostname", []) | ("uname", [b"-n"]) => self.fact(host.name.clone(), &call.name, span),
            ("uname", [b"-m"]) => self.fact(host.machine.clone(), "uname -m", span),
            ("uname", [b"-r"]) => self.fact(host.release.clone(), "uname -r", span),
            ("nproc", []) => self.fact(host.processors.map(|count| count.to_string()), "nproc", span),
            _ => {
                let message = format!("`{}` with these arguments is refused", call.name);
                self.refuse(code::COMMAND_SUBSTITUTION, span, message, "write the result itself")
            }
        }
    }

    /// A fact of the machine, if it is known.
    fn fact(&mut self, fact: Option<String>, what: &str, span: Span) -> Run<Vec<u8>> {
        match fact {
            Some(fact) => Ok(fact.into_bytes()),
            None => {
                let message = format!("`{what}` is a fact of the machine, which is not looked at here");
                self.refuse(code::HOST_FACT, span, message, "write the result itself")
            }
        }
    }

    /// Complains if an operand would be an option.
    fn refuse_option(&mut self, text: &[u8], span: Span) -> Run {
        if text.starts_with(b"-") {
            return self.refuse(code::COMMAND_SUBSTITUTION, span, "an option is refused here", "");
        }
        Ok(())
    }

    /// What `basename` prints, without its newline.
    fn base_name(&mut self, path: &[u8], suffix: &[u8], span: Span) -> Run<Vec<u8>> {
        self.refuse_option(path, span)?;
        let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        if end == 0 {
            return Ok(path[..path.len().min(1)].to_vec());
        }
        let start = path[..end].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let name = &path[start..end];
        Ok(match name.strip_suffix(suffix) {
            Some(stem) if !stem.is_empty() => stem.to_vec(),
            _ => name.to_vec(),
        })
    }
}

/// The same of `dirname`.
fn directory_name(path: &[u8]) -> Vec<u8> {
    let trimmed = |path: &[u8]| path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let end = trimmed(path);
    if end == 0 {
        return if path.is_empty() { b".".to_vec() } else { b"/".to_vec() };
    }
    match path[..end].iter().rposition(|&byte| byte == b'/') {
        None => b".".to_vec(),
        Some(slash) => match trimmed(&path[..slash]) {
            0 => b"/".to_vec(),
            end => path[..end].to_vec(),
        },
    }
}
