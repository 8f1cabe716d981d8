//! Reading one word: quoting, and what is to be expanded in it.

use super::{Parsed, Parser};
use crate::ast::{Part, Word, WordKind};
use crate::code;
use crate::lex::{Frame, SkipError, is_metacharacter, is_name_start, skip_nested};
use crate::span::Span;

/// Longer words are refused: no path, name or list of names is.
const MAX_WORD_BYTES: usize = 1024 * 1024;

/// What ends the text that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// An unquoted metacharacter.
    Metacharacter,
    /// As behind `==` in `[[ … ]]`: the same, and `( … )` of patterns is always a part of the word.
    PatternEnd,
    /// As behind `=~`: a blank outside of parentheses.
    RegexEnd,
    /// `}`.
    Brace,
    /// `/` or `}`.
    Slash,
    /// The `]` that belongs to the `[` before.
    Bracket,
    /// `"`.
    Quote,
    /// `))` of `$((`.
    Parentheses,
    /// `;` or `))` of `for ((`.
    Semicolon,
    /// `:` or `}` of `${NAME:offset:length}`.
    Colon,
}

impl Until {
    /// Arithmetic: quotes and backslashes mean nothing to the reading, blanks nothing at all.
    fn is_arithmetic(self) -> bool {
        matches!(self, Self::Parentheses | Self::Semicolon | Self::Colon)
    }
}

/// Bytes that mean nothing in any word.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b"_-./:%,=^".contains(&byte)
}

impl Parser<'_> {
    /// A word up to the next unquoted metacharacter; empty if one stands here.
    pub(super) fn word(&mut self) -> Parsed<Word> {
        self.cursor.peek(); // so that the span does not begin with a continuation line
        match self.simple_word() {
            Some(word) => Ok(word),
            None => self.word_until(Until::Metacharacter, false),
        }
    }

    /// The word if it is its own text, or that of one pair of quotes, as most are.
    fn simple_word(&mut self) -> Option<Word> {
        let start = self.cursor.position();
        let rest = self.cursor.rest();
        let (length, kind) = match rest.first() {
            Some(&quote @ (b'"' | b'\'')) => {
                let special = |&byte: &u8| {
                    byte == quote || byte == b'\r' || (quote == b'"' && matches!(byte, b'$' | b'`' | b'\\'))
                };
                let end = 1 + rest[1..].iter().position(special)?;
                if rest[end] != quote {
                    return None;
                }
                (end + 1, WordKind::Quoted)
            }
            _ => (rest.iter().take_while(|&&byte| is_plain(byte)).count(), WordKind::Plain),
        };
        let ends = match rest.get(length) {
            None => true,
            // Perhaps an extended pattern, or a process substitution.
            Some(b'(') => false,
            Some(b'<' | b'>') if length == 0 => false,
            Some(&byte) => is_metacharacter(byte),
        };
        if !ends || length > MAX_WORD_BYTES {
            return None;
        }
        self.cursor.advance(length);
        Some(Word { span: self.cursor.span_since(start), kind })
    }

    /// The operand of `==` or `!=` in `[[ … ]]`.
    pub(super) fn pattern_word(&mut self) -> Parsed<Word> {
        self.word_until(Until::PatternEnd, false)
    }

    /// The operand of `=~`.
    pub(super) fn regex_word(&mut self) -> Parsed<Word> {
        self.word_until(Until::RegexEnd, false)
    }

    /// `[subscript]`; none if it is never closed on this line, and so is no subscript.
    pub(super) fn subscript(&mut self) -> Parsed<Option<Word>> {
        let start = self.cursor.position();
        let mut ahead = self.cursor;
        ahead.bump();
        match skip_nested(&mut ahead, Frame::Bracket) {
            Ok(()) => {}
            Err(SkipError::Unclosed) => return Ok(None),
            Err(SkipError::TooDeep) => return Err(self.too_deep(start)),
        }
        self.cursor.bump();
        let word = self.word_until(Until::Bracket, false)?;
        self.cursor.bump();
        if word.span.start() == word.span.end() {
            let span = self.cursor.span_since(start);
            self.complaints.error(code::SUBSCRIPT, span, "an empty subscript", "write a number or a key");
        }
        Ok(Some(word))
    }

    /// From behind `((` to behind `))`.
    pub(super) fn arithmetic(&mut self, opened: Span) -> Parsed<Word> {
        let word = self.word_until(Until::Parentheses, true)?;
        if !self.cursor.rest().starts_with(b"))") {
            return Err(self.unclosed(opened));
        }
        self.cursor.advance(2);
        Ok(word)
    }

    /// The three expressions of `for ((`.
    pub(super) fn arithmetic_triple(&mut self, opened: Span) -> Parsed<[Option<Word>; 3]> {
        let mut parts = [None, None, None];
        for (position, part) in parts.iter_mut().enumerate() {
            let word = self.word_until(Until::Semicolon, true)?;
            let blank = self.text(word.span).iter().all(u8::is_ascii_whitespace);
            *part = (!blank).then_some(word);
            let end: &[u8] = if position < 2 { b";" } else { b"))" };
            if !self.cursor.rest().starts_with(end) {
                return Err(self.not_closed(opened));
            }
            self.cursor.advance(end.len());
        }
        Ok(parts)
    }

    /// A word up to what ends it, which stays. `quoted`: inside double quotes.
    pub(super) fn word_until(&mut self, until: Until, quoted: bool) -> Parsed<Word> {
        let start = self.cursor.position();
        let parts = self.nested(|parser| {
            let mut reader = PartReader::new(until, quoted);
            reader.read(parser)?;
            Ok(reader.parts)
        })?;
        let span = self.cursor.span_since(start);
        if span.end() - span.start() > MAX_WORD_BYTES {
            let message = format!("a word of more than {MAX_WORD_BYTES} bytes");
            self.complaints.error(code::WORD_TOO_LONG, Span::new(start, start + 1), message, "");
        }
        Ok(Word { span, kind: WordKind::Parts(parts.into_boxed_slice()) })
    }

    /// `$[…]`, from its bracket.
    fn old_arithmetic(&mut self, start: usize) -> Parsed<()> {
        self.cursor.bump();
        let span = self.cursor.span_since(start);
        let message = "`$[…]` is refused: it is an old form of arithmetic";
        self.complaints.error(code::ARITHMETIC, span, message, "write `$(( … ))`");
        if skip_nested(&mut self.cursor, Frame::Bracket).is_err() {
            return Err(self.unclosed(span));
        }
        Ok(())
    }

    /// Complains that what begins here is nested too deeply.
    pub(super) fn too_deep(&mut self, start: usize) -> super::Broken {
        self.broken(code::TOO_DEEP, Span::new(start, start + 1), "nested too deeply", "")
    }
}
/// The state of reading one word.
pub(super) struct PartReader {
    pub(super) until: Until,
    pub(super) quoted: bool,
    pub(super) parts: Vec<Part>,
    /// Parentheses, or brackets of a subscript, that are open.
    depth: usize,
    /// `?` of `?:` that are open, in arithmetic up to a colon.
    question: usize,
    /// Within double quotes of arithmetic.
    pub(super) in_quotes: bool,
}

impl PartReader {
    /// Nothing is read yet.
    fn new(until: Until, quoted: bool) -> Self {
        Self { until, quoted, parts: Vec::new(), depth: 0, question: 0, in_quotes: false }
    }

    /// Reads up to what ends the text, which stays.
    fn read(&mut self, parser: &mut Parser<'_>) -> Parsed<()> {
        while let Some(byte) = parser.cursor.peek() {
            if self.ends(byte, parser) {
                return Ok(());
            }
            self.piece(byte, parser)?;
        }
        Ok(())
    }

    /// What begins with this byte: something quoted or expanded, or the one byte itself.
    fn piece(&mut self, byte: u8, parser: &mut Parser<'_>) -> Parsed<()> {
        let start = parser.cursor.position();
        match byte {
            b'$' => self.dollar(parser, start)?,
            b'`' => {
                let part = parser.backquoted(start)?;
                self.parts.extend(part);
            }
            b'\\' if self.until.is_arithmetic() => self.literal(parser),
            b'\\' if self.quoted => self.quoted_backslash(parser),
            b'\\' => {
                parser.cursor.bump();
                let escaped = parser.escaped(start);
                self.quoted_bytes(&[escaped]);
            }
            b'\'' | b'"' if self.until == Until::Colon => {
                let span = Span::new(start, start + 1);
                let message = "a quote in this arithmetic is refused";
                return Err(parser.broken(code::ARITHMETIC, span, message, "leave it out"));
            }
            b'\'' | b'"' if self.until.is_arithmetic() => self.arithmetic_quote(parser, byte, start)?,
            b'"' => self.double_quotes(parser, start)?,
            b'\'' if self.is_quoted_operand() => self.paired_quotes(parser, start)?,
            b'\'' if !self.quoted => {
                parser.cursor.bump();
                let bytes = parser.single_quoted(start)?;
                self.quoted_bytes(&bytes);
            }
            b'<' | b'>' if self.until == Until::Metacharacter || self.begins_process(parser) => {
                // Only a process substitution gets here.
                parser.cursor.advance(1);
                parser.cursor.take(b'(');
                parser.refused_list(start, code::PROCESS_SUBSTITUTION, "process substitution")?;
            }
            b'?' | b'*' | b'+' | b'@' | b'!' if self.begins_extended_pattern(parser) => {
                self.extended_pattern(parser, start)?;
            }
            _ => self.literal(parser),
        }
        Ok(())
    }

    /// In the operand of a `"${…}"`, where bash takes quotes for something else.
    fn is_quoted_operand(&self) -> bool {
        self.quoted && self.until == Until::Brace
    }

    /// Whether this byte ends the text. Counts parentheses and the like on the way.
    fn ends(&mut self, byte: u8, parser: &mut Parser<'_>) -> bool {
        let outside = self.depth == 0;
        match (self.until, byte) {
            (Until::Metacharacter, b'<' | b'>') => parser.cursor.peek_second() != Some(b'('),
            (Until::Metacharacter | Until::PatternEnd, _) => is_metacharacter(byte),
            (Until::RegexEnd, b' ' | b'\t' | b'\n' | b';' | b'&' | b'<' | b'>') => outside,
            (Until::RegexEnd, b'(') => self.deeper(),
            (Until::RegexEnd, b')') => outside || self.higher(),
            (Until::Brace, b'}') | (Until::Slash, b'/' | b'}') | (Until::Quote, b'"') => true,
            (Until::Bracket, b'[') => self.deeper(),
            (Until::Bracket, b']') => outside || self.higher(),
            (Until::Parentheses | Until::Semicolon | Until::Colon, b'(') => self.deeper(),
            (Until::Parentheses | Until::Semicolon, b')') => outside || self.higher(),
            (Until::Semicolon, b';') => outside,
            (Until::Colon, b')') if !outside => self.higher(),
            (Until::Colon, b'?') if outside => {
                self.question += 1;
                false
            }
            (Until::Colon, b':') if outside && self.question > 0 => {
                self.question -= 1;
                false
            }
            (Until::Colon, b':' | b'}') => outside,
            _ => false,
        }
    }

    /// An inner parenthesis or bracket opens, which ends nothing.
    fn deeper(&mut self) -> bool {
        self.depth += 1;
        false
    }

    /// The inner one closes, which ends nothing either.
    fn higher(&mut self) -> bool {
        self.depth -= 1;
        false
    }

    /// Whether a process substitution begins here, which bash looks for in `${…}` too, whatever the quotes.
    fn begins_process(&self, parser: &mut Parser<'_>) -> bool {
        let inside = matches!(self.until, Until::Brace | Until::Slash | Until::Colon | Until::Bracket);
        inside && parser.cursor.peek_second() == Some(b'(')
    }

    /// Whether `?(` and the like begin a pattern here.
    fn begins_extended_pattern(&self, parser: &mut Parser<'_>) -> bool {
        let here = match self.until {
            Until::Metacharacter => parser.extglob,
            Until::PatternEnd => true,
            _ => false,
        };
        here && parser.cursor.peek_second() == Some(b'(')
    }

    /// `@( … )` and its like: blanks and bars in it belong to the word.
    fn extended_pattern(&mut self, parser: &mut Parser<'_>, start: usize) -> Parsed<()> {
        self.literal(parser);
        self.literal(parser);
        let parts = std::mem::take(&mut self.parts);
        let mut inside = PartReader { parts, ..PartReader::new(Until::RegexEnd, false) };
        inside.read_alternatives(parser)?;
        self.parts = inside.parts;
        if parser.cursor.peek() != Some(b')') {
            return Err(parser.unclosed(Span::new(start, start + 2)));
        }
        self.literal(parser);
        Ok(())
    }

    /// Up to the `)` of an extended pattern, which stays.
    fn read_alternatives(&mut self, parser: &mut Parser<'_>) -> Parsed<()> {
        let mut depth = 0;
        while let Some(byte) = parser.cursor.peek() {
            match byte {
                b')' if depth == 0 => return Ok(()),
                b')' => depth -= 1,
                b'(' => depth += 1,
                _ => {}
            }
            self.piece(byte, parser)?;
        }
        Ok(())
    }

    /// What begins with a `$`.
    pub(super) fn dollar(&mut self, parser: &mut Parser<'_>, start: usize) -> Parsed<()> {
        parser.cursor.bump();
        match parser.cursor.peek() {
            Some(b'\'') if self.is_quoted_operand() => self.ansi_c_in_quotes(parser, start)?,
            Some(b'\'') if !self.quoted => self.ansi_c_quotes(parser, start)?,
            // `$"…"` is translated by a message catalogue; without one it is `"…"`.
            Some(b'"') if !self.quoted || self.is_quoted_operand() => self.double_quotes(parser, start)?,
            Some(b'{') => {
                parser.cursor.bump();
                let parameter = parser.braced_parameter(start, self.quoted)?;
                self.parts.extend(parameter.map(|parameter| Part::Parameter(Box::new(parameter))));
            }
            Some(b'(') => {
                parser.cursor.bump();
                let part = parser.substitution(start)?;
                self.parts.extend(part);
            }
            Some(b'[') => parser.old_arithmetic(start)?,
            Some(byte) if is_name_start(byte) || byte.is_ascii_digit() || b"@*#?-$!".contains(&byte) => {
                let parameter = parser.plain_parameter(start, self.quoted);
                self.parts.extend(parameter.map(|parameter| Part::Parameter(Box::new(parameter))));
            }
            _ => self.lone_dollar(parser, start),
        }
        Ok(())
    }

    /// A `$` that expands nothing.
    fn lone_dollar(&mut self, parser: &mut Parser<'_>, start: usize) {
        // Behind an expansion, it turns off the splitting of the whole word in bash 5.2.
        let expands = |part: &Part| !matches!(part, Part::Literal(_) | Part::Quoted(_) | Part::Double(_));
        if !self.quoted && self.parts.iter().any(expands) {
            let message = "a lone `$` behind an expansion changes how bash splits the word";
            let hint = "for a dollar sign write `'$'`";
            let span = Span::new(start, start + 1);
            parser.complaints.error(code::SPECIAL_PARAMETER, span, message, hint);
        }
        self.literal_bytes(b"$");
    }

    /// The same of a byte where a continuation line means nothing.
    pub(super) fn literal_raw(&mut self, parser: &mut Parser<'_>) {
        if let Some(byte) = parser.cursor.bump_raw() {
            self.literal_bytes(&[byte]);
        }
    }

    /// Takes the next byte as it stands.
    pub(super) fn literal(&mut self, parser: &mut Parser<'_>) {
        if let Some(byte) = parser.cursor.bump() {
            self.literal_bytes(&[byte]);
        }
    }

    /// Adds bytes that nothing quotes, unless double quotes are around.
    fn literal_bytes(&mut self, more: &[u8]) {
        if self.quoted && !self.until.is_arithmetic() {
            return self.quoted_bytes(more);
        }
        match self.parts.last_mut() {
            Some(Part::Literal(bytes)) => bytes.extend_from_slice(more),
            _ => self.parts.push(Part::Literal(more.into())),
        }
    }

    /// Adds bytes that are quoted.
    pub(super) fn quoted_bytes(&mut self, more: &[u8]) {
        match self.parts.last_mut() {
            Some(Part::Quoted(bytes)) => bytes.extend_from_slice(more),
            _ => self.parts.push(Part::Quoted(more.into())),
        }
    }
}
