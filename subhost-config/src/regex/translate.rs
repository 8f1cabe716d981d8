//! From the syntax of glibc to the syntax of the `regex` crate.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::letters::upper;
use crate::pattern::class::Class;

/// The largest number in an interval, which `a{1,1000}` has for glibc too.
const MAX_REPETITIONS: usize = 1000;

/// How deep groups may be nested.
const MAX_NESTING: usize = 50;

/// An expression in the other syntax.
pub(super) struct Translated {
    pub(super) regex: String,
    /// How many characters it stands for, with repetitions.
    pub(super) weight: usize,
}

/// Translates an expression of characters that may be quoted. What is in a class is told by the characters that
/// are in the text, so that the two engines need not know the same Unicode.
pub(super) fn translate(
    expression: &[(char, bool)],
    in_text: &BTreeSet<char>,
    ignores_case: bool,
) -> Result<Translated, String> {
    Translator {
        expression,
        at: 0,
        in_text,
        ignores_case,
        regex: String::new(),
        levels: vec![Level::default()],
        atom: None,
    }
    .run()
}

/// A group that is open, or the whole.
#[derive(Debug, Default)]
struct Level {
    weight: usize,
    /// Whether there is anything in the current alternative.
    is_filled: bool,
    /// Whether the current alternative has come to its `$`.
    is_ended: bool,
    /// Whether another one has.
    has_end: bool,
    has_anchor: bool,
}

struct Translator<'a> {
    expression: &'a [(char, bool)],
    at: usize,
    in_text: &'a BTreeSet<char>,
    ignores_case: bool,
    regex: String,
    levels: Vec<Level>,
    /// The weight of what a repetition would repeat.
    atom: Option<usize>,
}

impl Translator<'_> {
    fn run(mut self) -> Result<Translated, String> {
        while let Some(&(character, is_quoted)) = self.expression.get(self.at) {
            self.at += 1;
            if is_quoted || !matches!(character, ')' | '|') {
                self.check_not_ended()?;
            }
            match character {
                _ if is_quoted => self.push_literal(character),
                '\\' => self.escape()?,
                '^' | '$' => self.anchor(character)?,
                '.' => self.push_atom("."),
                '[' => self.bracket()?,
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => self.end_alternative()?,
                '*' => self.repeat("*", 2)?,
                '+' => self.repeat("+", 2)?,
                '?' => self.repeat("?", 1)?,
                '{' => self.interval()?,
                _ => self.push_literal(character),
            }
        }
        self.check_filled()?;
        match self.levels.as_slice() {
            [whole] => Ok(Translated { weight: whole.weight, regex: self.regex }),
            _ => Err("a regular expression with a `(` without its `)`".to_owned()),
        }
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the whole is never closed")
    }

    fn push_literal(&mut self, character: char) {
        self.push_atom(&literal(self.fold(character)));
    }

    /// glibc, too, ignores case by turning all into upper case.
    fn fold(&self, character: char) -> char {
        if self.ignores_case { folded(character) } else { character }
    }

    /// Anywhere else than at the beginning and the end of all, glibc does not always take them for what they are.
    fn anchor(&mut self, anchor: char) -> Result<(), String> {
        if anchor == '^' && self.levels.iter().any(|level| level.is_filled) {
            return Err("a regular expression with `^` in its middle".to_owned());
        }
        self.regex.push(anchor);
        self.atom = None;
        let level = self.level();
        level.is_filled = true;
        level.has_anchor = true;
        level.is_ended |= anchor == '$';
        Ok(())
    }

    fn check_not_ended(&self) -> Result<(), String> {
        match self.levels.iter().any(|level| level.is_ended) {
            true => Err("a regular expression with `$` in its middle".to_owned()),
            false => Ok(()),
        }
    }

    fn push_atom(&mut self, regex: &str) {
        self.regex.push_str(regex);
        self.add_atom(1);
    }

    fn add_atom(&mut self, weight: usize) {
        let level = self.level();
        level.weight = level.weight.saturating_add(weight);
        level.is_filled = true;
        self.atom = Some(weight);
    }

    fn open(&mut self) -> Result<(), String> {
        if self.levels.len() > MAX_NESTING {
            return Err("a regular expression with groups nested too deep".to_owned());
        }
        self.levels.push(Level::default());
        self.regex.push_str("(?:");
        self.atom = None;
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        self.check_filled()?;
        if self.levels.len() == 1 {
            return Err("a regular expression with a `)` without its `(`".to_owned());
        }
        let Level { weight, is_ended, has_end, has_anchor, .. } = self.levels.pop().expect("there are two");
        self.regex.push(')');
        self.add_atom(weight);
        if has_anchor {
            self.atom = None;
            let level = self.level();
            level.has_anchor = true;
            level.is_ended |= is_ended || has_end;
        }
        Ok(())
    }

    fn end_alternative(&mut self) -> Result<(), String> {
        self.check_filled()?;
        let level = self.level();
        level.is_filled = false;
        level.has_end |= level.is_ended;
        level.is_ended = false;
        self.atom = None;
        self.regex.push('|');
        Ok(())
    }

    fn check_filled(&mut self) -> Result<(), String> {
        match self.level().is_filled {
            true => Ok(()),
            false => Err("a regular expression with an empty alternative".to_owned()),
        }
    }

    /// Repeats what is before, which then stands for so many times its characters.
    fn repeat(&mut self, operator: &str, times: usize) -> Result<(), String> {
        let Some(weight) = self.atom.take() else {
            return Err(format!("a regular expression with `{operator}` where there is nothing to repeat"));
        };
        self.regex.push_str(operator);
        let more = weight.saturating_mul(times.saturating_sub(1));
        let level = self.level();
        level.weight = level.weight.saturating_add(more);
        Ok(())
    }

    /// `{n}`, `{n,}`, `{n,m}` or `{,m}`
    fn interval(&mut self) -> Result<(), String> {
        let least = self.number()?;
        let mut most = least;
        let has_comma = self.takes(',');
        if has_comma {
            most = self.number()?;
        }
        let bad = || Err("a regular expression with a bad `{…}`".to_owned());
        if !self.takes('}') {
            return bad();
        }
        match (least, most) {
            (None, None) => bad(),
            (Some(least), Some(most)) if least > most => bad(),
            // The engines may differ in what is then left of the rest.
            (_, Some(0)) => Err("a regular expression with `{0}`".to_owned()),
            (least, None) => {
                let least = least.unwrap_or(0);
                self.repeat(&format!("{{{least},}}"), least + 1)
            }
            (least, Some(most)) => self.repeat(&format!("{{{},{most}}}", least.unwrap_or(0)), most),
        }
    }

    fn number(&mut self) -> Result<Option<usize>, String> {
        let mut number = None;
        while let Some(&(digit @ '0'..='9', false)) = self.expression.get(self.at) {
            let value = number.unwrap_or(0) * 10 + digit as usize - '0' as usize;
            if value > MAX_REPETITIONS {
                return Err(format!("a regular expression with more than {MAX_REPETITIONS} repetitions"));
            }
            number = Some(value);
            self.at += 1;
        }
        Ok(number)
    }

    fn takes(&mut self, character: char) -> bool {
        let is_there = self.expression.get(self.at) == Some(&(character, false));
        self.at += usize::from(is_there);
        is_there
    }

    /// An unquoted backslash, which comes out of a variable.
    fn escape(&mut self) -> Result<(), String> {
        match self.expression.get(self.at) {
            Some(&(character, false)) => {
                self.at += 1;
                match character {
                    'w' | 'W' | 's' | 'S' => {
                        let class = if matches!(character, 'w' | 'W') { Class::Word } else { Class::Space };
                        let mut set = Set::new(matches!(character, 'W' | 'S'));
                        set.add_class(class, self.in_text);
                        self.push_atom(&set.regex());
                        Ok(())
                    }
                    // Four of them are anchors for glibc.
                    '`' | '\'' | '<' | '>' => Err(format!("a regular expression with `\\{character}`")),
                    _ if character.is_ascii_punctuation() => {
                        self.push_literal(character);
                        Ok(())
                    }
                    _ => Err(format!("a regular expression with `\\{}`", character.escape_debug())),
                }
            }
            Some((_, true)) => {
                Err("a regular expression with a plain backslash before quoted text".to_owned())
            }
            None => Err("a regular expression that ends in a lone backslash".to_owned()),
        }
    }

    /// What is behind a `[`, in which a backslash is nothing special.
    fn bracket(&mut self) -> Result<(), String> {
        let mut set = Set::new(self.takes('^'));
        let begin = self.at;
        loop {
            if self.at > begin && self.takes(']') {
                break;
            }
            let Some(first) = self.element(&mut set)? else { continue };
            let is_range = matches!(self.expression[self.at..], [('-', _), (next, _), ..] if next != ']');
            if !is_range {
                set.add(first, first);
                continue;
            }
            self.at += 1;
            let last = self.element(&mut set)?;
            let Some(last) = last.filter(|last| first.is_ascii() && last.is_ascii() && first <= *last) else {
                return Err("a regular expression with a range that is not one of ASCII".to_owned());
            };
            set.add(first, last);
            if matches!(self.expression[self.at..], [('-', _), (next, _), ..] if next != ']') {
                return Err("a regular expression with a range that begins with a range".to_owned());
            }
        }
        self.push_atom(&set.regex());
        Ok(())
    }

    /// The next character in a bracket expression; nothing if it was a class, which is in the set now.
    fn element(&mut self, set: &mut Set) -> Result<Option<char>, String> {
        let Some(&(character, is_quoted)) = self.expression.get(self.at) else {
            return Err("a regular expression with a `[` without its `]`".to_owned());
        };
        if is_quoted && !character.is_alphanumeric() {
            return Err("a regular expression with quotes between `[` and `]`".to_owned());
        }
        self.at += 1;
        let next = self.expression.get(self.at).map(|&(next, _)| next);
        if character != '[' || !matches!(next, Some(':' | '.' | '=')) {
            return Ok(Some(self.fold(character)));
        }
        let name: String = self.expression[self.at + 1..]
            .iter()
            .map(|&(character, _)| character)
            .take_while(char::is_ascii_alphabetic)
            .take(10)
            .collect();
        self.at += 1 + name.len();
        let is_class = next == Some(':') && self.takes(':') && self.takes(']');
        let class = Class::from_name(name.as_bytes())
            .filter(|class| is_class && !matches!(class, Class::Ascii | Class::Word))
            .ok_or("a regular expression with a class that not all know")?;
        let class = match class {
            Class::Upper | Class::Lower if self.ignores_case => Class::Alpha,
            _ => class,
        };
        set.add_class(class, self.in_text);
        Ok(None)
    }
}

/// The characters of a bracket expression.
struct Set {
    is_negated: bool,
    members: String,
}

impl Set {
    fn new(is_negated: bool) -> Self {
        Self { is_negated, members: String::new() }
    }

    fn add(&mut self, first: char, last: char) {
        write!(self.members, "{}-{}", literal(first), literal(last))
            .expect("writing to a string does not fail");
    }

    fn add_class(&mut self, class: Class, in_text: &BTreeSet<char>) {
        let members = in_text.iter().filter(|&&character| class.contains(u32::from(character)));
        members.for_each(|&character| self.add(character, character));
    }

    fn regex(&self) -> String {
        let members = &self.members;
        match (members.is_empty(), self.is_negated) {
            (false, false) => format!("[{members}]"),
            (false, true) => format!("[^{members}]"),
            (true, false) => r"[^\x{0}-\x{10ffff}]".to_owned(),
            (true, true) => ".".to_owned(),
        }
    }
}

/// The character in the case that all have where case is ignored.
pub(super) fn folded(character: char) -> char {
    char::from_u32(upper(u32::from(character))).unwrap_or(character)
}

fn literal(character: char) -> String {
    format!("\\x{{{:x}}}", u32::from(character))
}
