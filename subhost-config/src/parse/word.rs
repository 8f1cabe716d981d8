//! Reading one word: quoting, and what is to be expanded in it.

use super::{Parsed, Parser};
use crate::ast::{Part, Word, WordKind};
use crate::code;
use crate::lex::{BadEscape, Frame, SkipError, decode_ansi_c, is_metacharacter, is_name_start, skip_nested};
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

    pub(super) fn pattern_word(&mut self) -> Parsed<Word> {
        self.word_until(Until::PatternEnd, false)
    }

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
                return Err(if self.cursor.peek().is_none() {
                    self.unclosed(opened)
                } else {
                    self.unexpected()
                });
            }
            self.cursor.advance(end.len());
        }
        Ok(parts)
    }

    /// A word up to what ends it, which stays. `quoted`: inside double quotes.
    pub(super) fn word_until(&mut self, until: Until, quoted: bool) -> Parsed<Word> {
        let start = self.cursor.position();
        let parts = self.nested(|parser| {
            let mut reader =
                PartReader { until, quoted, parts: Vec::new(), depth: 0, question: 0, in_quotes: false };
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

    pub(super) fn too_deep(&mut self, start: usize) -> super::Broken {
        self.broken(code::TOO_DEEP, Span::new(start, start + 1), "nested too deeply", "")
    }

    /// The byte behind a backslash.
    fn escaped(&mut self, start: usize) -> u8 {
        let byte = self.cursor.bump_raw();
        if byte.is_none() {
            let message = "a backslash at the end of the file";
            let hint = "bash sometimes keeps it, sometimes not; write `\\\\` or leave it out";
            self.complaints.error(code::BAD_ESCAPE, Span::new(start, start + 1), message, hint);
        }
        byte.unwrap_or(b'\\')
    }

    fn unclosed_quote(&mut self, start: usize) -> super::Broken {
        if !self.complaints.ran_to_end() {
            let span = Span::new(start, start + 1);
            let hint = "everything from here to the end of the file is inside it";
            self.complaints.error(code::UNCLOSED_QUOTE, span, "this quote is never closed", hint);
        }
        super::Broken
    }

    /// The bytes from here up to the single quote that ends them, which is taken.
    fn single_quoted(&mut self, start: usize) -> Parsed<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            match self.cursor.bump_raw() {
                Some(b'\'') => return Ok(bytes),
                Some(byte) => bytes.push(byte),
                None => return Err(self.unclosed_quote(start)),
            }
        }
    }

    /// `$'…'` from behind its first quote.
    fn ansi_c(&mut self, start: usize) -> Parsed<Vec<u8>> {
        let mut raw = Vec::new();
        loop {
            match self.cursor.bump_raw() {
                Some(b'\'') => break,
                Some(byte) => {
                    raw.push(byte);
                    if byte == b'\\' {
                        raw.extend(self.cursor.bump_raw());
                    }
                }
                None => return Err(self.unclosed_quote(start)),
            }
        }
        Ok(decode_ansi_c(&raw).unwrap_or_else(|BadEscape| {
            let span = self.cursor.span_since(start);
            let message = "an escape in `$'…'` names no Unicode character";
            self.complaints.error(code::BAD_ESCAPE, span, message, "write the bytes as `\\xHH`");
            Vec::new()
        }))
    }

    /// What stands in double quotes, from behind the first to behind the last.
    fn double_quoted(&mut self, start: usize) -> Parsed<Box<[Part]>> {
        let word = self.word_until(Until::Quote, true)?;
        if !self.cursor.take(b'"') {
            return Err(self.unclosed_quote(start));
        }
        Ok(word.into_parts())
    }
}

impl Parser<'_> {
    /// Double quotes in the operand of a `"${…}"`.
    fn double_quoted_again(&mut self, start: usize) -> Parsed<Box<[Part]>> {
        let parts = self.double_quoted(start)?;
        let span = self.cursor.span_since(start);
        let text = self.text(span);
        let before = self.text(Span::new(self.cursor.start(), start));
        let inside = &text[..text.len() - 1];
        if has_odd_backslash(text) || ends_in_dollar_name(before) || ends_in_dollar_name(inside) {
            let message = "bash reads what stands in these inner quotes in a way of its own";
            let hint = "assign the value to a variable of its own first";
            self.complaints.error(code::EXPANSION, span, message, hint);
        }
        Ok(parts)
    }
}

/// Whether a backslash stands before something that it does not escape.
fn has_odd_backslash(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'\\' && !bytes.next().is_some_and(|next| b"$`\"\\\n".contains(next)) {
            return true;
        }
    }
    false
}

/// Whether a `$`, perhaps with a name, comes last, to which bash would add what follows.
fn ends_in_dollar_name(text: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.iter().rev().find(|byte| !is_name(byte)) == Some(&b'$')
}

/// The state of reading one word.
struct PartReader {
    until: Until,
    quoted: bool,
    parts: Vec<Part>,
    /// Parentheses, or brackets of a subscript, that are open.
    depth: usize,
    /// `?` of `?:` that are open, in arithmetic up to a colon.
    question: usize,
    /// Within double quotes of arithmetic.
    in_quotes: bool,
}

impl PartReader {
    fn read(&mut self, parser: &mut Parser<'_>) -> Parsed<()> {
        while let Some(byte) = parser.cursor.peek() {
            let start = parser.cursor.position();
            if self.ends(byte, parser) {
                return Ok(());
            }
            match byte {
                b'$' => self.dollar(parser, start)?,
                b'`' => {
                    let part = parser.backquoted(start)?;
                    self.parts.extend(part);
                }
                b'\\' if self.until.is_arithmetic() => self.literal(parser),
                b'\\' if self.quoted => {
                    parser.cursor.bump();
                    match parser.cursor.peek_raw() {
                        Some(escaped @ (b'$' | b'`' | b'"' | b'\\')) => {
                            parser.cursor.bump_raw();
                            self.quoted_bytes(&[escaped]);
                        }
                        Some(b'}') if self.until != Until::Quote => {
                            parser.cursor.bump_raw();
                            self.quoted_bytes(b"}");
                        }
                        Some(b'\'') if self.until == Until::Brace => {
                            parser.cursor.bump_raw();
                            self.quoted_bytes(b"\\'");
                        }
                        _ => self.quoted_bytes(b"\\"),
                    }
                }
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
                b'"' => {
                    parser.cursor.bump();
                    let inside = match self.quoted {
                        true => parser.double_quoted_again(start)?,
                        false => parser.double_quoted(start)?,
                    };
                    self.parts.push(Part::Double(inside));
                }
                b'\'' if self.quoted && self.until == Until::Brace => self.paired_quotes(parser, start)?,
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
        }
        Ok(())
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

    fn deeper(&mut self) -> bool {
        self.depth += 1;
        false
    }

    fn higher(&mut self) -> bool {
        self.depth -= 1;
        false
    }

    /// Whether a process substitution begins here, which bash looks for in `${…}` too, whatever the quotes.
    fn begins_process(&self, parser: &mut Parser<'_>) -> bool {
        let inside = matches!(self.until, Until::Brace | Until::Slash | Until::Colon | Until::Bracket);
        inside && parser.cursor.peek_second() == Some(b'(')
    }

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
        let mut open = 1;
        while open > 0 {
            let mut inside = PartReader {
                until: Until::RegexEnd,
                quoted: false,
                parts: std::mem::take(&mut self.parts),
                depth: 1,
                question: 0,
                in_quotes: false,
            };
            inside.read_extended(parser)?;
            self.parts = inside.parts;
            if parser.cursor.peek() != Some(b')') {
                return Err(parser.unclosed(Span::new(start, start + 2)));
            }
            self.literal(parser);
            open -= 1;
        }
        Ok(())
    }

    /// Up to the `)` of an extended pattern, which stays.
    fn read_extended(&mut self, parser: &mut Parser<'_>) -> Parsed<()> {
        loop {
            match parser.cursor.peek() {
                None => return Ok(()),
                Some(b')') if self.depth == 1 => return Ok(()),
                Some(b')') => {
                    self.depth -= 1;
                    self.literal(parser);
                }
                Some(b'(') => {
                    self.depth += 1;
                    self.literal(parser);
                }
                Some(b'<' | b'>') => self.literal(parser),
                Some(_) => {
                    // One piece at a time, so that the parentheses are seen here.
                    let before = parser.cursor.position();
                    self.piece(parser)?;
                    if parser.cursor.position() == before {
                        self.literal(parser);
                    }
                }
            }
        }
    }

    /// One quoted or expanded piece, or one literal byte.
    fn piece(&mut self, parser: &mut Parser<'_>) -> Parsed<()> {
        let start = parser.cursor.position();
        match parser.cursor.peek() {
            Some(b'$') => self.dollar(parser, start)?,
            Some(b'\\') => {
                parser.cursor.bump();
                let escaped = parser.escaped(start);
                self.quoted_bytes(&[escaped]);
            }
            Some(b'"') => {
                parser.cursor.bump();
                let inside = parser.double_quoted(start)?;
                self.parts.push(Part::Double(inside));
            }
            Some(b'\'') => {
                parser.cursor.bump();
                let bytes = parser.single_quoted(start)?;
                self.quoted_bytes(&bytes);
            }
            Some(b'`') => {
                let part = parser.backquoted(start)?;
                self.parts.extend(part);
            }
            _ => self.literal(parser),
        }
        Ok(())
    }

    /// Quotes in arithmetic: double ones mean nothing, single ones are for keys. They must be closed within it.
    fn arithmetic_quote(&mut self, parser: &mut Parser<'_>, quote: u8, start: usize) -> Parsed<()> {
        if std::mem::take(&mut self.in_quotes) && quote == b'"' {
            parser.cursor.bump();
            return Ok(());
        }
        let inside = &parser.cursor.rest()[1..];
        let length = inside.iter().position(|&byte| byte == quote);
        let inside = &inside[..length.unwrap_or(0)];
        if length.is_none() || inside.iter().any(|byte| b"();'\"\\`\r\n".contains(byte)) {
            let message = "this quote in arithmetic is refused";
            return Err(parser.broken(
                code::ARITHMETIC,
                Span::new(start, start + 1),
                message,
                "leave it out",
            ));
        }
        if quote == b'"' {
            self.in_quotes = true;
            parser.cursor.bump();
        } else {
            let bytes = inside.len() + 2;
            (0..bytes).for_each(|_| self.literal_raw(parser));
        }
        Ok(())
    }

    /// `'…'` in the operand of a `"${…}"`: the quotes belong to the value, but what closes the `${` does not count
    /// between them.
    fn paired_quotes(&mut self, parser: &mut Parser<'_>, start: usize) -> Parsed<()> {
        let inside = &parser.cursor.rest()[1..];
        let Some(length) = inside.iter().position(|&byte| byte == b'\'') else {
            return Err(parser.unclosed_quote(start));
        };
        let inside = &inside[..length];
        let opens = |byte: &u8| b"({[)}]'".contains(byte);
        let has = |wanted: &[u8]| inside.iter().any(|byte| wanted.contains(byte));
        if has(b"\"\\`") || (has(b"$") && inside.iter().any(opens)) {
            let message = "what is quoted or expanded between these single quotes is refused";
            let hint = "assign the value to a variable of its own first";
            let span = Span::new(start, start + length + 2);
            parser.complaints.error(code::EXPANSION, span, message, hint);
        }
        let end = start + length + 2;
        self.literal(parser);
        while parser.cursor.position() < end {
            let at = parser.cursor.position();
            match parser.cursor.peek_raw() {
                Some(b'$') => self.dollar(parser, at)?,
                _ => self.literal_raw(parser),
            }
        }
        Ok(())
    }

    /// `$'…'` in such an operand, whose result bash reads again.
    fn ansi_c_in_quotes(&mut self, parser: &mut Parser<'_>, start: usize) -> Parsed<()> {
        parser.cursor.bump();
        let bytes = parser.ansi_c(start)?;
        let text = parser.text(parser.cursor.span_since(start));
        // It may make a NUL, at which bash would forget the rest.
        let by_number =
            |pair: &[u8]| pair[0] == b'\\' && (pair[1].is_ascii_digit() || b"xuUc".contains(&pair[1]));
        let before = parser.text(Span::new(parser.cursor.start(), start));
        if ends_in_dollar_name(before)
            || text.windows(2).any(by_number)
            || bytes.iter().any(|byte| b"$`\"'\\{}".contains(byte))
        {
            let span = parser.cursor.span_since(start);
            let message = "this `$'…'` within double quotes is refused";
            let hint = "assign the value to a variable of its own first";
            parser.complaints.error(code::EXPANSION, span, message, hint);
        }
        self.quoted_bytes(&bytes);
        Ok(())
    }

    fn dollar(&mut self, parser: &mut Parser<'_>, start: usize) -> Parsed<()> {
        parser.cursor.bump();
        match parser.cursor.peek() {
            Some(b'\'') if self.quoted && self.until == Until::Brace => {
                self.ansi_c_in_quotes(parser, start)?;
            }
            Some(b'"') if self.quoted && self.until == Until::Brace => {
                parser.cursor.bump();
                let inside = parser.double_quoted_again(start)?;
                self.parts.push(Part::Double(inside));
            }
            Some(b'\'') if !self.quoted => {
                parser.cursor.bump();
                let bytes = parser.ansi_c(start)?;
                let is_operand = matches!(self.until, Until::Brace | Until::Slash);
                let escapes = parser.text(parser.cursor.span_since(start)).contains(&b'\\');
                if parser.substitutions > 0 && is_operand && escapes {
                    let message = "bash reads this `$'…'` twice";
                    let hint = "assign the value to a variable of its own first";
                    let span = parser.cursor.span_since(start);
                    parser.complaints.error(code::EXPANSION, span, message, hint);
                }
                self.quoted_bytes(&bytes);
            }
            // `$"…"` is translated by a message catalogue; without one it is `"…"`.
            Some(b'"') if !self.quoted => {
                parser.cursor.bump();
                let inside = parser.double_quoted(start)?;
                self.parts.push(Part::Double(inside));
            }
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
            Some(b'[') => {
                parser.cursor.bump();
                let span = parser.cursor.span_since(start);
                let message = "`$[…]` is refused: it is an old form of arithmetic";
                parser.complaints.error(code::ARITHMETIC, span, message, "write `$(( … ))`");
                if skip_nested(&mut parser.cursor, Frame::Bracket).is_err() {
                    return Err(parser.unclosed(span));
                }
            }
            Some(byte) if is_name_start(byte) || byte.is_ascii_digit() || b"@*#?-$!".contains(&byte) => {
                let parameter = parser.plain_parameter(start, self.quoted);
                self.parts.extend(parameter.map(|parameter| Part::Parameter(Box::new(parameter))));
            }
            _ => {
                // Behind an expansion, a lone `$` turns off the splitting of the whole word in bash 5.2.
                let expands =
                    |part: &Part| !matches!(part, Part::Literal(_) | Part::Quoted(_) | Part::Double(_));
                if !self.quoted && self.parts.iter().any(expands) {
                    let message = "a lone `$` behind an expansion changes how bash splits the word";
                    let hint = "for a dollar sign write `'$'`";
                    let span = Span::new(start, start + 1);
                    parser.complaints.error(code::SPECIAL_PARAMETER, span, message, hint);
                }
                self.literal_bytes(b"$");
            }
        }
        Ok(())
    }

    fn literal_raw(&mut self, parser: &mut Parser<'_>) {
        if let Some(byte) = parser.cursor.bump_raw() {
            self.literal_bytes(&[byte]);
        }
    }

    fn literal(&mut self, parser: &mut Parser<'_>) {
        if let Some(byte) = parser.cursor.bump() {
            self.literal_bytes(&[byte]);
        }
    }

    fn literal_bytes(&mut self, more: &[u8]) {
        if self.quoted && !self.until.is_arithmetic() {
            return self.quoted_bytes(more);
        }
        match self.parts.last_mut() {
            Some(Part::Literal(bytes)) => append(bytes, more),
            _ => self.parts.push(Part::Literal(more.into())),
        }
    }

    fn quoted_bytes(&mut self, more: &[u8]) {
        match self.parts.last_mut() {
            Some(Part::Quoted(bytes)) => append(bytes, more),
            _ => self.parts.push(Part::Quoted(more.into())),
        }
    }
}

fn append(bytes: &mut Vec<u8>, more: &[u8]) {
    bytes.extend_from_slice(more);
}
