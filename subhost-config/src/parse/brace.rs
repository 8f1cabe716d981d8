//! `{a,b}` and `{1..9}`: bash expands them in the text of a word, before anything else in it means something, and
//! reads each result as a word.

use super::{Parsed, Parser, Surroundings};
use crate::ast::{Parameter, Part, Subject, Subscript, Substitution, Word, WordKind};
use crate::code;
use crate::lex::{Cursor, Frame, skip_nested};
use crate::span::Span;

/// What all braces of a text may cost: a byte looked at or made costs 1, a word [`COST_OF_A_WORD`].
pub(super) const MAX_WORK: usize = 1 << 24;
/// As many bytes as a word needs beside its text.
const COST_OF_A_WORD: usize = 64;

/// Braces inside each other, or one behind the other: what the stack bears.
const MAX_DEPTH: usize = 50;

/// More words than anybody writes down, or a sequence with characters in it that nobody means.
#[derive(Debug)]
struct Refused;

/// The words that braces make.
type Words = Result<Vec<Vec<u8>>, Refused>;

impl Parser<'_> {
    /// Reads a word of a list, in which braces are expanded: one word or several, or none.
    pub(super) fn listed_words(&mut self, mut take: impl FnMut(Word)) -> Parsed<()> {
        let errors = self.complaints.errors();
        let word = self.word()?;
        let span = word.span;
        if self.complaints.errors() > errors || !self.may_expand(&word) {
            take(word);
            return Ok(());
        }
        let Some(texts) = self.expanded(span) else { return Ok(()) };
        if let [text] = &texts[..]
            && text == self.text(span)
        {
            take(word);
            return Ok(());
        }
        for text in texts.iter().filter(|text| !text.is_empty()) {
            match self.read_again(text, span) {
                Some(word) => take(word),
                None => break,
            }
        }
        Ok(())
    }

    /// Complains if bash would expand braces here.
    pub(super) fn refuse_braces(&mut self, word: &Word, span: Span, message: &str) {
        if !self.may_expand(word) {
            return;
        }
        if let Some(texts) = self.expanded(span)
            && (texts.len() != 1 || texts[0] != self.text(span))
        {
            self.complaints.error(code::BRACES, span, message, "quote the braces");
        }
    }

    /// Whether a brace stands in the text of a word, wherever.
    fn may_expand(&self, word: &Word) -> bool {
        let text = self.text(word.span);
        let is_open = |at: usize| {
            text[at] == b'{' && !(at > 0 && text[at - 1] == b'$' && (at < 2 || text[at - 2] != b'\\'))
        };
        matches!(word.kind, WordKind::Parts(_)) && (0..text.len()).any(is_open)
    }

    /// The texts that the one under the span becomes; none if it is refused, which is complained about.
    fn expanded(&mut self, span: Span) -> Option<Vec<Vec<u8>>> {
        let text = self.cursor.text(span);
        let has = |wanted: &[u8]| text.windows(wanted.len()).any(|window| window == wanted);
        // Bash has taken these away before it looks for braces.
        let result = match has(b"\\\n") || has(b"\\\r\n") {
            true => Err(Refused),
            false => Braces { work: &mut self.braces, depth: 0 }.expand(text),
        };
        // A `$` that braces bring to a quote is just a `$`.
        let brings = |texts: &Vec<Vec<u8>>| {
            (has(b"$,") || has(b"$}")) && texts.len() > 1 && texts.iter().any(|text| has_dollar_quote(text))
        };
        let result = result.and_then(|texts| if brings(&texts) { Err(Refused) } else { Ok(texts) });
        if result.is_err() {
            let message = "these braces are refused: they make too many words, or odd ones";
            self.complaints.error(code::BRACES, span, message, "write the words, or quote the braces");
        }
        result.ok()
    }

    /// Reads a text that stands in the place of another as one word.
    fn read_again(&mut self, text: &[u8], span: Span) -> Option<Word> {
        let surroundings = Surroundings { included: self.includes, extglob: self.extglob };
        let mut parser = Parser {
            depth: self.depth,
            extglob_next: self.extglob_next,
            functions: self.functions.clone(),
            braces: 0,
            substitutions: self.substitutions,
            ..Parser::new(Cursor::new(text, 0, 0), surroundings)
        };
        let word = parser.word();
        let is_whole = parser.cursor.rest().is_empty();
        let complaints = parser.complaints.into_list();
        if !is_whole && complaints.is_empty() {
            let message = "one of the words that these braces make is none";
            self.complaints.error(code::BRACES, span, message, "quote the braces");
        }
        for complaint in complaints {
            self.complaints.push(complaint.at(span));
        }
        let mut word = word.ok().filter(|_| is_whole)?;
        relocate(&mut word, text, span);
        Some(word)
    }
}

/// The expansion of one word.
struct Braces<'a> {
    work: &'a mut usize,
    depth: usize,
}

impl Braces<'_> {
    /// Takes some of what all braces may cost.
    fn spend(&mut self, work: usize) -> Result<(), Refused> {
        *self.work = self.work.checked_sub(work).ok_or(Refused)?;
        Ok(())
    }

    /// The texts that a text makes; one without braces itself.
    fn expand(&mut self, text: &[u8]) -> Words {
        if self.depth >= MAX_DEPTH {
            return Err(Refused);
        }
        self.depth += 1;
        let words = self.expand_inside(text);
        self.depth -= 1;
        words
    }

    /// The same one level deeper: the first braces, each with all that those behind them make.
    fn expand_inside(&mut self, text: &[u8]) -> Words {
        let mut from = 0;
        let (open, close) = loop {
            let Some(open) = self.find(text, from, b'{')? else { return Ok(vec![text.to_vec()]) };
            match self.find(text, open + 1, b'}')? {
                Some(close) => break (open, close),
                None => from = open + 1,
            }
        };
        let inside = &text[open + 1..close];
        let middle = if has_comma(inside) {
            self.alternatives(inside)?
        } else {
            match self.sequence(inside)? {
                Some(words) => words,
                None if close + 1 < text.len() => vec![text[open..=close].to_vec()],
                None => return Ok(vec![text.to_vec()]),
            }
        };
        let behind = match &text[close + 1..] {
            [] => vec![Vec::new()],
            rest => self.expand(rest)?,
        };
        let bytes = |words: &[Vec<u8>]| words.iter().map(Vec::len).sum::<usize>();
        let count = middle.len().saturating_mul(behind.len());
        self.spend(count.saturating_mul(COST_OF_A_WORD + open))?;
        self.spend(bytes(&middle).saturating_mul(behind.len()))?;
        self.spend(bytes(&behind).saturating_mul(middle.len()))?;
        let mut words = Vec::with_capacity(count);
        for middle in &middle {
            words.extend(behind.iter().map(|behind| [&text[..open], middle, behind].concat()));
        }
        Ok(words)
    }

    /// Each of the texts between the commas, expanded itself.
    fn alternatives(&mut self, inside: &[u8]) -> Words {
        let mut words = Vec::new();
        let mut from = 0;
        loop {
            let comma = self.find(inside, from, b',')?;
            words.extend(self.expand(&inside[from..comma.unwrap_or(inside.len())])?);
            self.spend(COST_OF_A_WORD)?;
            match comma {
                Some(comma) => from = comma + 1,
                None => return Ok(words),
            }
        }
    }

    /// Where this byte stands, outside of quotes, expansions and inner braces. A closing brace only counts behind a
    /// comma or `..`.
    fn find(&mut self, text: &[u8], from: usize, wanted: u8) -> Result<Option<usize>, Refused> {
        let mut level = 0usize;
        let mut separated = wanted != b'}';
        let mut quote = None;
        let mut at = from;
        while let Some(&byte) = text.get(at) {
            let next = text.get(at + 1);
            at += 1;
            match (quote, byte) {
                (Some(b'\''), _) if byte != b'\'' => {}
                (_, b'\\') => at += 1,
                // Bash has made a text in plain quotes of it.
                (None, b'$') if next == Some(&b'\'') => {
                    at += 1;
                    while text.get(at).is_some_and(|&byte| byte != b'\'') {
                        at += if text[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                }
                (_, b'$') if next == Some(&b'{') => {
                    at += 1;
                    level += usize::from(quote.is_none());
                }
                (None | Some(b'"'), b'$') | (None, b'<' | b'>') if next == Some(&b'(') => {
                    let mut cursor = Cursor::new(text, at + 1, 0);
                    skip_nested(&mut cursor, Frame::Paren).map_err(|_| Refused)?;
                    at = cursor.position();
                }
                (Some(open), _) if byte == open => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'' | b'`') => quote = Some(byte),
                (None, _) if byte == wanted && level == 0 && separated => {
                    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t' | b'\n'));
                    let alone = at == 1 || is_blank(text.get(at.wrapping_sub(2)));
                    if !(byte == b'{' && alone && (is_blank(next) || next == Some(&b'}'))) {
                        self.spend(at - from)?;
                        return Ok(Some(at - 1));
                    }
                }
                (None, b'{') => level += 1,
                (None, b'}') if level > 0 => level -= 1,
                (None, b',') if level == 0 => separated = true,
                (None, b'.') if level == 0 && next == Some(&b'.') && text.get(at + 1) != Some(&wanted) => {
                    separated = true;
                }
                (None, _) => {}
            }
        }
        self.spend(text.len() - from.min(text.len()))?;
        Ok(None)
    }

    /// `1..9`, `01..10..3`, `a..e`; none for anything else.
    fn sequence(&mut self, inside: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Refused> {
        let Ok(text) = std::str::from_utf8(inside) else { return Ok(None) };
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
        let words = usize::try_from(count).unwrap_or(usize::MAX).saturating_add(1);
        self.spend(words.saturating_mul(COST_OF_A_WORD + width.unwrap_or(0)))?;
        let word = |number: u64| {
            let distance = i64::try_from(number * step).unwrap_or(0);
            let value = if start <= end { start + distance } else { start - distance };
            match (width, u8::try_from(value)) {
                (Some(width), _) => Ok(format!("{value:0width$}").into_bytes()),
                (None, Ok(letter)) if letter.is_ascii_alphabetic() => Ok(vec![letter]),
                // Between `Z` and `a` there are quotes and brackets.
                (None, _) => Err(Refused),
            }
        };
        (0..=count).map(word).collect::<Result<_, _>>().map(Some)
    }
}

/// Whether a `$` stands before a quote.
fn has_dollar_quote(text: &[u8]) -> bool {
    text.windows(2).any(|pair| matches!(pair, b"$'" | b"$\""))
}

/// Whether a comma stands in it, at any depth, but not behind a backslash.
fn has_comma(inside: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&byte) = inside.get(at) {
        match byte {
            b'\\' => at += 2,
            b',' => return true,
            _ => at += 1,
        }
    }
    false
}

/// A whole number as bash reads it here.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Brings a word that was read from another text to its place in the file.
fn relocate(word: &mut Word, text: &[u8], span: Span) {
    let own = &text[word.span.start()..word.span.end()];
    match &mut word.kind {
        WordKind::Plain => word.kind = WordKind::Parts([Part::Literal(own.to_vec())].into()),
        WordKind::Quoted => {
            let inside = own[1..own.len() - 1].to_vec();
            word.kind = WordKind::Parts([Part::Quoted(inside)].into());
        }
        WordKind::Parts(parts) => parts.iter_mut().for_each(|part| relocate_part(part, text, span)),
    }
    word.span = span;
}

fn relocate_part(part: &mut Part, text: &[u8], span: Span) {
    match part {
        Part::Literal(_) | Part::Quoted(_) => {}
        Part::Double(parts) => parts.iter_mut().for_each(|part| relocate_part(part, text, span)),
        Part::Arithmetic(word) => relocate(word, text, span),
        Part::Parameter(parameter) => relocate_parameter(parameter, text, span),
        Part::Substitution(substitution) => match &mut **substitution {
            Substitution::Command(call) => {
                call.span = span;
                call.arguments.iter_mut().for_each(|word| relocate(word, text, span));
            }
            Substitution::File { path, span: place } => {
                *place = span;
                relocate(path, text, span);
            }
        },
    }
}

fn relocate_parameter(parameter: &mut Parameter, text: &[u8], span: Span) {
    parameter.span = span;
    if let Subject::Variable { subscript: Some(Subscript::One(word)), .. } = &mut parameter.subject {
        relocate(word, text, span);
    }
    parameter.operator.words_mut().for_each(|word| relocate(word, text, span));
}
