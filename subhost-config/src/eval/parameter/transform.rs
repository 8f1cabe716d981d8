//! `@Q` and the like, and changes of case.

use super::Expansion;
use crate::ast::{Part, Subject, Word};
use crate::code;
use crate::eval::{Run, Shell};
use crate::letters::{CaseChange, case_refusal, change_case};
use crate::lex::decode_ansi_c;
use crate::pattern::Pattern;
use crate::quote::{declare_quote, key_quote, reusable_quote};
use crate::span::Span;

impl Shell<'_> {
    /// `${NAME^pattern}` and its like.
    pub(super) fn change_case(
        &mut self,
        base: Expansion,
        change: CaseChange,
        pattern: Option<&Word>,
        span: Span,
    ) -> Run<Expansion> {
        let pattern = match pattern {
            Some(word) => {
                let marked = self.marked(word)?;
                let pattern = self.pattern_of(&marked, span)?;
                let is_quote = |part: &Part| matches!(part, Part::Quoted(_) | Part::Double(_));
                // An empty one is none, unless it is in quotes.
                let is_none = marked.bytes().is_empty() && !word.parts().iter().any(is_quote);
                (!is_none).then_some(pattern)
            }
            None => None,
        };
        self.map(base, span, |shell, value| shell.cased(value, change, pattern.as_ref(), span))
    }

    /// A text in another case.
    pub(in crate::eval) fn cased(
        &mut self,
        text: &[u8],
        change: CaseChange,
        pattern: Option<&Pattern>,
        span: Span,
    ) -> Run<Vec<u8>> {
        if let Some(reason) = case_refusal(text) {
            return self.refuse(code::EXPANSION, span, reason, "");
        }
        self.with_steps(span, |steps| change_case(text, change, pattern, steps))
    }

    /// `@Q` and the like.
    pub(super) fn transform(
        &mut self,
        letter: u8,
        subject: &Subject,
        base: Expansion,
        span: Span,
    ) -> Run<Expansion> {
        let case = match letter {
            b'U' => Some(CaseChange::UpperAll),
            b'L' => Some(CaseChange::LowerAll),
            b'u' => Some(CaseChange::UpperFirst),
            _ => None,
        };
        if let Some(change) = case {
            return self.map(base, span, |shell, value| shell.cased(value, change, None, span));
        }
        match letter {
            b'Q' => self.map(base, span, |_, value| Ok(reusable_quote(value))),
            b'E' => self.map(base, span, |shell, value| match decode_ansi_c(value) {
                Ok(decoded) => Ok(decoded),
                Err(_) => shell.refuse(code::BAD_ESCAPE, span, "an escape names no Unicode character", ""),
            }),
            b'a' => self.attributes_of(subject, base, span),
            b'k' | b'K' => self.pairs(letter, subject, base, span),
            _ => self.assignment_of(subject, base, span),
        }
    }

    /// `@a`: the letters of the attributes, once for each element.
    fn attributes_of(&mut self, subject: &Subject, base: Expansion, span: Span) -> Run<Expansion> {
        let Subject::Variable { name, .. } = subject else {
            return self.refuse(code::EXPANSION, span, "`@a` of a positional parameter is refused", "");
        };
        let name = self.referenced(name, span)?;
        let Some(variable) = self.variables.declared(&name) else { return Ok(base) };
        let (letters, is_set) = (variable.letters().into_bytes(), variable.is_set);
        Ok(match base {
            Expansion::Many { star, .. } if letters.is_empty() => {
                Expansion::Many { values: Vec::new(), star }
            }
            Expansion::Many { star, .. } if !is_set => Expansion::Many { values: vec![letters], star },
            Expansion::Many { values, star } => Expansion::Many { values: vec![letters; values.len()], star },
            Expansion::Unset if letters.is_empty() => Expansion::Unset,
            _ => Expansion::One(letters),
        })
    }

    /// `@k`: keys and values; `@K`: the same, quoted, as one text.
    fn pairs(&mut self, letter: u8, subject: &Subject, base: Expansion, span: Span) -> Run<Expansion> {
        let base = self.scalar_as_one(subject, base, span)?;
        let Expansion::Many { values, star } = base else {
            return self.map(base, span, |_, value| Ok(reusable_quote(value)));
        };
        if matches!(subject, Subject::Arguments { .. }) {
            return self.refuse(code::EXPANSION, span, "`@k` of the parameters is refused", "");
        }
        let keys = match self.keys(subject, span)? {
            Expansion::Many { values, .. } => values,
            _ => Vec::new(),
        };
        let pairs = keys.into_iter().zip(values);
        if letter == b'k' || pairs.len() == 0 {
            return Ok(Expansion::Many {
                values: pairs.flat_map(|(key, value)| [key, value]).collect(),
                star,
            });
        }
        let quoted = |(key, value): (Vec<u8>, Vec<u8>)| [key_quote(&key), declare_quote(&value)].join(&b' ');
        let mut text = pairs.map(quoted).collect::<Vec<_>>().join(&b' ');
        if let Subject::Variable { name, .. } = subject {
            let name = self.referenced(name, span)?;
            if self.is_associative_name(&name) {
                text.push(b' ');
            }
        }
        Ok(Expansion::One(text))
    }

    /// `@A`: the assignment that would make the variable.
    fn assignment_of(&mut self, subject: &Subject, base: Expansion, span: Span) -> Run<Expansion> {
        let Subject::Variable { name, .. } = subject else {
            return self.refuse(code::EXPANSION, span, "`@A` of a positional parameter is refused", "");
        };
        let name = self.referenced(name, span)?;
        let base = self.scalar_as_one(subject, base, span)?;
        let Some(variable) = self.variables.declared(&name) else { return Ok(base) };
        let letters = variable.letters();
        let mut words: Vec<Vec<u8>> = match letters.is_empty() {
            true => Vec::new(),
            false => vec![b"declare".to_vec(), format!("-{letters}").into_bytes()],
        };
        let value = match &base {
            Expansion::Unset | Expansion::Many { .. } if letters.is_empty() => return Ok(base),
            Expansion::Unset => None,
            Expansion::One(value) => Some(reusable_quote(value)),
            Expansion::Many { .. } => variable.is_set.then(|| variable.value.to_declare_value()),
        };
        words.push(match value {
            Some(value) => [name.as_bytes(), &value].join(&b'='),
            None => name.into_bytes(),
        });
        let Expansion::Many { star, .. } = base else { return Ok(Expansion::One(words.join(&b' '))) };
        if star {
            return Ok(Expansion::One(words.join(&b' ')));
        }
        if self.variables.get("IFS").is_some_and(|ifs| ifs.value.first() != Some(b" \t\n")) {
            let message = "`@A` of an array where IFS is changed is refused";
            return self.refuse(code::EXPANSION, span, message, "");
        }
        Ok(Expansion::Many { values: words, star })
    }
}
