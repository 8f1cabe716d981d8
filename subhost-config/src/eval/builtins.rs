//! Builtins that only compute.

use std::path::Path;

use super::{Run, Shell, Stop};
use crate::arith::Origin;
use crate::ast::{Call, Word};
use crate::code;
use crate::condition::{TestError, test};
use crate::lex::is_name;
use crate::parse::{Surroundings, parse_in};
use crate::span::Span;

impl Shell<'_> {
    /// Runs a builtin; false if there is none of this name.
    pub(super) fn builtin(&mut self, call: &Call) -> Run<bool> {
        let span = call.span;
        let arguments = self.words(&call.arguments)?;
        for argument in &arguments {
            self.refuse_garbled(argument, span)?;
        }
        match call.name.as_str() {
            ":" | "true" => self.status = 0,
            "false" => self.status = 1,
            "test" => self.test(&arguments, span)?,
            "[" => match arguments.split_last() {
                Some((last, arguments)) if last == b"]" => self.test(arguments, span)?,
                _ => return self.refuse(code::BAD_TEST, span, "the `]` of this `[` is missing", ""),
            },
            "let" => self.let_builtin(&arguments, span)?,
            "unset" => self.unset(&arguments, span)?,
            "set" => self.set(&arguments, span)?,
            "shopt" => self.shopt(&arguments, span)?,
            "shift" => self.shift(&arguments, span)?,
            "return" => {
                if let Some(status) = self.number_argument(&arguments, span)? {
                    self.status = u8::try_from(status.rem_euclid(256)).unwrap_or(0);
                }
                return Err(Stop::Return);
            }
            "break" | "continue" => {
                let levels = self.number_argument(&arguments, span)?.unwrap_or(1);
                if self.loops == 0 || levels < 1 {
                    let message = format!("`{}` has no loop to act on", call.name);
                    return self.refuse(code::OUTSIDE, span, message, "");
                }
                let levels = usize::try_from(levels).unwrap_or(self.loops).min(self.loops);
                self.status = 0;
                return Err(match call.name.as_str() {
                    "break" => Stop::Break(levels),
                    _ => Stop::Continue(levels),
                });
            }
            "." | "source" => self.include(&arguments, span)?,
            "printf" => self.printf_builtin(&arguments, span)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `test …` and `[ … ]`.
    fn test(&mut self, arguments: &[Vec<u8>], span: Span) -> Run {
        let holds = self.test_holds(arguments, span)?;
        self.status = u8::from(!holds);
        Ok(())
    }

    /// Whether these are arguments of a test that holds.
    pub(super) fn test_holds(&mut self, arguments: &[Vec<u8>], span: Span) -> Run<bool> {
        let mut facts = super::condition::ShellFacts { shell: self, span };
        match test(arguments, &mut facts) {
            Ok(holds) => Ok(holds),
            Err(TestError::Stop(stop)) => Err(stop),
            Err(TestError::Message(message)) => {
                self.refuse(code::BAD_TEST, span, format!("test: {message}"), "")
            }
        }
    }

    /// `let`: each argument is an expression, the last one counts.
    fn let_builtin(&mut self, arguments: &[Vec<u8>], span: Span) -> Run {
        if arguments.is_empty() {
            return self.refuse(code::BAD_ARITHMETIC, span, "`let` needs an expression", "");
        }
        let mut value = 0;
        for argument in arguments {
            value = self.integer(argument, Origin::Value, span)?;
        }
        self.status = u8::from(value == 0);
        Ok(())
    }

    /// `printf -v NAME FORMAT …`
    fn printf_builtin(&mut self, arguments: &[Vec<u8>], span: Span) -> Run {
        let texts: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        let (target, format, arguments) = match &texts[..] {
            [b"-v", target, b"--", format, ..] => (*target, *format, &arguments[4..]),
            [b"-v", target, format, ..] if !format.starts_with(b"-") => (*target, *format, &arguments[3..]),
            _ => {
                let message = "`printf` that is not `printf -v NAME FORMAT …` only prints";
                let hint = "leave it out: what is evaluated prints nothing";
                return self.refuse(code::COMMAND, span, message, hint);
            }
        };
        let value = self.printed(format, arguments, span)?;
        let Some((name, subscript)) = element_named(target) else {
            let message = format!("`{}` is not the name of a variable", String::from_utf8_lossy(target));
            return self.refuse(code::COMMAND, span, message, "");
        };
        match subscript {
            None => self.set_scalar(name, value, span)?,
            Some(inside) => {
                let subscript = Word::of_literal(inside.as_bytes(), span);
                self.set_element(name, &subscript, value, span)?;
            }
        }
        self.status = 0;
        Ok(())
    }

    /// What `printf` prints.
    pub(super) fn printed(&mut self, format: &[u8], arguments: &[Vec<u8>], span: Span) -> Run<Vec<u8>> {
        self.step(1 + arguments.len() as u64, span)?;
        match crate::printf::printf(format, arguments) {
            Ok(text) => {
                self.spend(text.len(), span)?;
                Ok(text)
            }
            Err(reason) => self.refuse(code::COMMAND, span, reason, ""),
        }
    }

    /// The only argument, if there is one.
    fn number_argument(&mut self, arguments: &[Vec<u8>], span: Span) -> Run<Option<i64>> {
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.trim().parse::<i64>().ok();
        match arguments {
            [] => Ok(None),
            [argument] if number(argument).is_some() => Ok(number(argument)),
            _ => self.refuse(code::COMMAND, span, "one number is allowed here, and nothing else", ""),
        }
    }

    /// `set -u` and `set -- …`.
    fn set(&mut self, arguments: &[Vec<u8>], span: Span) -> Run {
        if let Some((b"--", rest)) = arguments.split_first().map(|(first, rest)| (first.as_slice(), rest)) {
            self.touched = true;
            self.arguments = Some(rest.to_vec());
            self.status = 0;
            return Ok(());
        }
        let on = match arguments {
            [option] if option == b"-u" => true,
            [option] if option == b"+u" => false,
            [option, name] if option == b"-o" && name == b"nounset" => true,
            [option, name] if option == b"+o" && name == b"nounset" => false,
            _ => {
                let message = "`set` with anything but `-u` or `--` is refused";
                return self.refuse(code::COMMAND, span, message, "leave it out");
            }
        };
        self.touched = true;
        self.options.unset_is_error = on;
        self.status = 0;
        Ok(())
    }

    /// `shopt -s NAME …` and `shopt -u NAME …`.
    fn shopt(&mut self, arguments: &[Vec<u8>], span: Span) -> Run {
        let on = match arguments.first().map(Vec::as_slice) {
            Some(b"-s") => true,
            Some(b"-u") => false,
            _ => return self.refuse(code::COMMAND, span, "`shopt` without `-s` or `-u` only prints", ""),
        };
        if arguments.len() < 2 {
            return self.refuse(code::COMMAND, span, "`shopt` without a name only prints", "");
        }
        self.touched = true;
        for name in &arguments[1..] {
            match name.as_slice() {
                b"extglob" => self.options.extglob = on,
                b"nullglob" => self.options.nullglob = on,
                b"nocasematch" => self.options.nocasematch = on,
                _ => {
                    let message = format!("`shopt` of {} is refused", String::from_utf8_lossy(name));
                    let hint = "what is supported: extglob, nullglob, nocasematch";
                    return self.refuse(code::COMMAND, span, message, hint);
                }
            }
        }
        self.status = 0;
        Ok(())
    }

    /// `shift`, perhaps with a number.
    fn shift(&mut self, arguments: &[Vec<u8>], span: Span) -> Run {
        let count = self.number_argument(arguments, span)?.unwrap_or(1);
        self.positional(span)?;
        let Some(positional) = &mut self.arguments else { return Err(Stop::Refused) };
        match usize::try_from(count) {
            Ok(count) if count <= positional.len() => {
                positional.drain(..count);
                self.status = 0;
                Ok(())
            }
            Ok(_) => {
                self.status = 1;
                Ok(())
            }
            Err(_) => self.refuse(code::COMMAND, span, "`shift` needs a number that is not negative", ""),
        }
    }

    /// `. FILE`
    fn include(&mut self, arguments: &[Vec<u8>], span: Span) -> Run {
        let [path] = arguments else {
            return self.refuse(code::INCLUDE, span, "an include needs exactly one file", "");
        };
        let text = String::from_utf8_lossy(path).into_owned();
        let text = self.load_include(Path::new(&text), span)?;
        self.spend(text.len(), span)?;
        let source = self.variables.sources_mut().include(&String::from_utf8_lossy(path), text);
        let surroundings = Surroundings { included: true, extglob: self.options.extglob };
        let (script, diagnostics) = parse_in(&source, surroundings);
        let refused = script.refused;
        diagnostics.into_iter().for_each(|diagnostic| self.complaints.push(diagnostic));
        if refused {
            return Err(Stop::Refused);
        }
        self.known_functions.extend(script.functions.iter().cloned());
        let loops = std::mem::take(&mut self.loops);
        let result = self.deeper(span, |shell| shell.statements(&script.statements));
        self.loops = loops;
        self.touched = true;
        match result {
            Err(Stop::Return) => Ok(()),
            other => other,
        }
    }
}

/// The parts of `NAME` or `NAME[subscript]`; none if the text is neither, or if the subscript holds what bash would
/// expand once more.
pub(super) fn element_named(text: &[u8]) -> Option<(&str, Option<&str>)> {
    let text = std::str::from_utf8(text).ok()?;
    let Some((name, rest)) = text.split_once('[') else {
        return is_name(text.as_bytes()).then_some((text, None));
    };
    let inside = rest.strip_suffix(']')?;
    let odd = |byte: u8| b"$`'\"\\[]@*".contains(&byte);
    let fits = is_name(name.as_bytes()) && !inside.is_empty() && !inside.bytes().any(odd);
    fits.then_some((name, Some(inside)))
}
