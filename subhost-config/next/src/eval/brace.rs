//! `{a,b}` and `{1..9}`, expanded before anything else as bash does.

use crate::ast::Part;

/// Larger results are refused.
const MAX_WORDS: usize = 100_000;

/// More words than anybody writes down.
#[derive(Debug)]
pub(super) struct TooMany;

/// A byte that may be a brace, or something that cannot.
#[derive(Clone, Copy)]
enum Atom<'a> {
    Byte(u8),
    Part(&'a Part),
}

type Atoms<'a> = Vec<Atom<'a>>;

/// The words that a word makes; a word without braces itself.
pub(super) fn expand(parts: &[Part]) -> Result<Vec<Vec<Part>>, TooMany> {
    let mut atoms = Vec::new();
    for part in parts {
        match part {
            Part::Literal(bytes) => atoms.extend(bytes.iter().map(|&byte| Atom::Byte(byte))),
            other => atoms.push(Atom::Part(other)),
        }
    }
    Ok(expand_atoms(&atoms)?.iter().map(|atoms| to_parts(atoms)).collect())
}

fn to_parts(atoms: &[Atom<'_>]) -> Vec<Part> {
    let mut parts = Vec::new();
    for atom in atoms {
        match (atom, parts.last_mut()) {
            (Atom::Byte(byte), Some(Part::Literal(bytes))) => bytes.push(*byte),
            (Atom::Byte(byte), _) => parts.push(Part::Literal(vec![*byte])),
            (Atom::Part(part), _) => parts.push((*part).clone()),
        }
    }
    parts
}

fn is(atom: Option<&Atom<'_>>, byte: u8) -> bool {
    matches!(atom, Some(Atom::Byte(found)) if *found == byte)
}

/// Where this byte stands outside of inner braces. A closing brace only counts behind a comma or `..`.
fn find(atoms: &[Atom<'_>], from: usize, wanted: u8) -> Option<usize> {
    let mut level = 0usize;
    let mut separated = wanted != b'}';
    for at in from..atoms.len() {
        let Atom::Byte(byte) = atoms[at] else { continue };
        if byte == wanted && level == 0 && separated {
            return Some(at);
        }
        match byte {
            b'{' => level += 1,
            b'}' if level > 0 => level -= 1,
            b',' if level == 0 => separated = true,
            b'.' if level == 0 && is(atoms.get(at + 1), b'.') && !is(atoms.get(at + 2), wanted) => {
                separated = true;
            }
            _ => {}
        }
    }
    None
}

fn expand_atoms<'a>(atoms: &[Atom<'a>]) -> Result<Vec<Atoms<'a>>, TooMany> {
    let mut from = 0;
    let (open, close) = loop {
        let Some(open) = find(atoms, from, b'{') else { return Ok(vec![atoms.to_vec()]) };
        match find(atoms, open + 1, b'}') {
            Some(close) => break (open, close),
            None => from = open + 1,
        }
    };
    let inside = &atoms[open + 1..close];
    let has_comma = inside.iter().any(|atom| is(Some(atom), b','));
    let middle = if has_comma {
        alternatives(inside)?
    } else {
        match sequence(inside)? {
            Some(words) => words,
            None if close + 1 < atoms.len() => vec![atoms[open..=close].to_vec()],
            None => return Ok(vec![atoms.to_vec()]),
        }
    };
    let behind = expand_atoms(&atoms[close + 1..])?;
    if middle.len().saturating_mul(behind.len()) > MAX_WORDS {
        return Err(TooMany);
    }
    let mut words = Vec::with_capacity(middle.len() * behind.len());
    for middle in &middle {
        for behind in &behind {
            words.push([&atoms[..open], middle, behind].concat());
        }
    }
    Ok(words)
}

/// Each of the texts between the commas, expanded itself.
fn alternatives<'a>(inside: &[Atom<'a>]) -> Result<Vec<Atoms<'a>>, TooMany> {
    let mut words = Vec::new();
    let mut from = 0;
    loop {
        let comma = find(inside, from, b',');
        words.extend(expand_atoms(&inside[from..comma.unwrap_or(inside.len())])?);
        if words.len() > MAX_WORDS {
            return Err(TooMany);
        }
        match comma {
            Some(comma) => from = comma + 1,
            None => return Ok(words),
        }
    }
}

/// `1..9`, `01..10..3`, `a..e`; none for anything else.
fn sequence<'a>(inside: &[Atom<'a>]) -> Result<Option<Vec<Atoms<'a>>>, TooMany> {
    let mut text = String::new();
    for atom in inside {
        match atom {
            Atom::Byte(byte) if byte.is_ascii() => text.push(char::from(*byte)),
            _ => return Ok(None),
        }
    }
    let pieces: Vec<&str> = text.split("..").collect();
    let (first, last, step) = match pieces[..] {
        [first, last] => (first, last, "1"),
        [first, last, step] => (first, last, step),
        _ => return Ok(None),
    };
    let Some(step) = integer(step) else { return Ok(None) };
    let letter = |text: &str| match text.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(i64::from(*letter)),
        _ => None,
    };
    let (start, end, width) = match (integer(first), integer(last), letter(first), letter(last)) {
        (Some(start), Some(end), ..) => {
            let padded = |text: &str| {
                let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
                digits.len() > 1 && digits.starts_with('0')
            };
            let width = if padded(first) || padded(last) { first.len().max(last.len()) } else { 0 };
            (start, end, Some(width))
        }
        (_, _, Some(start), Some(end)) => (start, end, None),
        _ => return Ok(None),
    };
    let step = step.unsigned_abs().max(1);
    let count = start.abs_diff(end) / step;
    if count >= MAX_WORDS as u64 {
        return Err(TooMany);
    }
    let word = |number: u64| {
        let distance = i64::try_from(number * step).unwrap_or(0);
        let value = if start <= end { start + distance } else { start - distance };
        let text = match width {
            Some(width) => format!("{value:0width$}"),
            None => u8::try_from(value).map(char::from).unwrap_or_default().to_string(),
        };
        text.into_bytes().into_iter().map(Atom::Byte).collect()
    };
    Ok(Some((0..=count).map(word).collect()))
}

/// A whole number as bash reads it here.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}
