//! Quotes in words: `'…'`, `"…"`, `$'…'` and backslashes, and what they are in odd places.

use super::word::{PartReader, Until};
use super::{Broken, Parsed, Parser};
use crate::ast::Part;
use crate::code;
use crate::lex::{BadEscape, decode_ansi_c};
use crate::span::Span;

impl Parser<'_> {
    /// The byte behind a backslash.
    pub(super) fn escaped(&mut self, start: usize) -> u8 {
        let byte = self.cursor.bump_raw();
        if byte.is_none() {
            let message = "a backslash at the end of the file";
            let hint = "bash sometimes keeps it, sometimes not; write `\\\\` or leave it out";
            self.complaints.error(code::BAD_ESCAPE, Span::new(start, start + 1), message, hint);
        }
        byte.unwrap_or(b'\\')
    }

    /// Complains that a quote is never closed.
    fn unclosed_quote(&mut self, start: usize) -> Broken {
        if !self.complaints.ran_to_end() {
            let span = Span::new(start, start + 1);
            let hint = "everything from here to the end of the file is inside it";
            self.complaints.error(code::UNCLOSED_QUOTE, span, "this quote is never closed", hint);
        }
        Broken
    }

    /// The bytes from here up to the single quote that ends them, which is taken.
    pub(super) fn single_quoted(&mut self, start: usize) -> Parsed<Vec<u8>> {
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

    /// Double quotes in the operand of a `"${…}"`.
    fn double_quoted_again(&mut self, start: usize) -> Parsed<Box<[Part]>> {
        let parts = self.double_quoted(start)?;
        let span = self.cursor.span_since(start);
        let text = self.text(span);
        let before = self.text(Span::new(self.cursor.start(), start));
        let inside = &text[..text.len() - 1];
        let joins = before.ends_with(b"\\\n") || ends_in_dollar_name(before) || ends_in_dollar_name(inside);
        if joins || has_odd_backslash(text) {
            let message = "bash reads what stands in these inner quotes in a way of its own";
            let hint = "assign the value to a variable of its own first";
            self.complaints.error(code::EXPANSION, span, message, hint);
        }
        Ok(parts)
    }
}

impl PartReader {
    /// `"…"` from its first quote, or what is like it.
    pub(super) fn double_quotes(&mut self, parser: &mut Parser<'_>, start: usize) -> Parsed<()> {
        parser.cursor.bump();
        let inside = match self.quoted {
            true => parser.double_quoted_again(start)?,
            false => parser.double_quoted(start)?,
        };
        self.parts.push(Part::Double(inside));
        Ok(())
    }

    /// A backslash in double quotes, which escapes little there.
    pub(super) fn quoted_backslash(&mut self, parser: &mut Parser<'_>) {
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

    /// `$'…'` outside of double quotes, from behind the `$`.
    pub(super) fn ansi_c_quotes(&mut self, parser: &mut Parser<'_>, start: usize) -> Parsed<()> {
        parser.cursor.bump();
        let bytes = parser.ansi_c(start)?;
        let span = parser.cursor.span_since(start);
        let is_operand = matches!(self.until, Until::Brace | Until::Slash);
        if parser.substitutions > 0 && is_operand && parser.text(span).contains(&b'\\') {
            let message = "bash reads this `$'…'` twice";
            let hint = "assign the value to a variable of its own first";
            parser.complaints.error(code::EXPANSION, span, message, hint);
        }
        self.quoted_bytes(&bytes);
        Ok(())
    }

    /// Quotes in arithmetic: double ones mean nothing, single ones are for keys. They must be closed within it.
    pub(super) fn arithmetic_quote(
        &mut self,
        parser: &mut Parser<'_>,
        quote: u8,
        start: usize,
    ) -> Parsed<()> {
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
    pub(super) fn paired_quotes(&mut self, parser: &mut Parser<'_>, start: usize) -> Parsed<()> {
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
    pub(super) fn ansi_c_in_quotes(&mut self, parser: &mut Parser<'_>, start: usize) -> Parsed<()> {
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
}

/// Whether a backslash stands before something that it does not escape.
fn has_odd_backslash(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'\\' && !bytes.next().is_some_and(|next| b"$`\"\\".contains(next)) {
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
