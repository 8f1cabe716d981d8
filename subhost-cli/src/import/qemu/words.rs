//! Words, and the properties in them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Refused, text};

/// The words of a text: of a process, with a NUL behind each, or as a shell has them.
///
/// # Errors
/// A quote is not closed, or a shell would do more than read words.
pub fn words_of(bytes: &[u8]) -> Result<Vec<String>, Refused> {
    if let Some(bytes) = bytes.strip_suffix(b"\0") {
        let words = bytes.split(|byte| *byte == 0).map(|word| text(word).map(str::to_owned));
        return words.collect();
    }
    split(text(bytes)?)
}

fn split(text: &str) -> Result<Vec<String>, Refused> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    let special =
        |c: char| Err(format!("has `{c}`, which a shell does not take as it is; give the plain words"));
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '#' if word.is_none() => drop(chars.by_ref().find(|c| *c == '\n')),
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("ends with a backslash".to_owned()),
            },
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("has a `'` that is not closed".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some('\n') => {}
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("ends with a backslash".to_owned()),
                        },
                        Some(c @ ('$' | '`')) => return special(c),
                        Some(c) => word.push(c),
                        None => return Err("has a `\"` that is not closed".to_owned()),
                    }
                }
            }
            '$' | '`' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => return special(c),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// `a=b,c=d`; a comma in a value is doubled. What has no `=` is the value of `first`, or yes.
pub(super) fn properties(text: &str, first: &str) -> BTreeMap<String, String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, parts.last_mut()) {
            (',', Some(part)) if chars.next_if_eq(&',').is_some() => part.push(','),
            (',', _) => parts.push(String::new()),
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    let mut found = BTreeMap::new();
    for (at, part) in parts.into_iter().enumerate() {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None if at == 0 && !first.is_empty() => (first.to_owned(), part),
            None => (part, "on".to_owned()),
        };
        found.insert(name, value);
    }
    found
}

/// The same where it may be an object of JSON, whose members of members are named with a dot.
pub(super) fn properties_or_json(text: &str, first: &str) -> BTreeMap<String, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => {
            let mut found = BTreeMap::new();
            flatten(&value, "", &mut found);
            found
        }
        _ => properties(text, first),
    }
}

fn flatten(value: &Value, prefix: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(value, &name, found);
            }
        }
        Value::String(text) => drop(found.insert(prefix.to_owned(), text.clone())),
        Value::Bool(yes) => drop(found.insert(prefix.to_owned(), if *yes { "on" } else { "off" }.to_owned())),
        other => drop(found.insert(prefix.to_owned(), other.to_string())),
    }
}
