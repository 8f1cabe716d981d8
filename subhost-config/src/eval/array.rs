//! Array literals: `NAME=( … )`.

use std::collections::BTreeMap;

use super::expand::origin_of;
use super::key::Key;
use super::{COST_OF_A_VALUE, Run, Shell};
use crate::ast::{Element, KeyedElement, Word};
use crate::code;
use crate::span::Span;
use crate::value::Value;
use crate::vars::Variable;

/// What is to be put into an indexed array.
struct Edit<'a> {
    /// `[subscript]=…`, and the text of the subscript.
    keyed: Option<(&'a KeyedElement, Vec<u8>)>,
    value: Vec<u8>,
    span: Span,
}

/// What is to be put into an associative array.
struct Pair {
    key: Vec<u8>,
    value: Vec<u8>,
    append: bool,
    span: Span,
}

impl Shell<'_> {
    /// Assigns an array literal.
    pub(super) fn put_array(&mut self, name: &str, literal: &[Element], append: bool, span: Span) -> Run {
        match self.variables.declared(name) {
            Some(Variable { value: Value::Associative(_), .. }) => {
                return self.put_associative(name, literal, append, span);
            }
            Some(variable) if variable.attributes.reference => {
                return self.refuse(code::DECLARATION, span, "a reference cannot be an array", "");
            }
            _ => {}
        }
        if name == "IFS" {
            return self.refuse(code::SHELL_VARIABLE_SET, span, "IFS as an array is refused", "");
        }
        // It is an array, perhaps an empty one, while the words of its own literal are expanded.
        self.touched = true;
        let is_new = self.variables.declared(name).is_none();
        let variable = self.variable_for_elements(name, span);
        variable.is_set |= is_new;
        let keyed = literal.iter().any(|element| matches!(element, Element::Keyed(_)));
        let attributes = variable.attributes;
        if keyed || append || attributes.integer || attributes.lower || attributes.upper {
            self.put_elements(name, literal, append, span)
        } else {
            self.put_words(name, literal, span)
        }
    }

    /// What nearly every array is: words, one after the other. They need not be put there one by one.
    fn put_words(&mut self, name: &str, literal: &[Element], span: Span) -> Run {
        let mut values: Vec<(u64, Vec<u8>)> = Vec::with_capacity(literal.len());
        let mut spans: Vec<(u64, Span)> = Vec::with_capacity(literal.len());
        let mut words = Vec::new();
        self.each(literal, |shell, element| {
            let Element::Word(word) = element else { return Ok(()) };
            shell.word(word, &mut words)?;
            shell.step(1, word.span)?;
            for value in words.drain(..) {
                shell.spend(COST_OF_A_VALUE, word.span)?;
                shell.refuse_garbled(&value, word.span)?;
                let index = values.len() as u64;
                values.push((index, value));
                spans.push((index, word.span));
            }
            Ok(())
        })?;
        let Some(variable) = self.variables.get_mut(name) else { return Ok(()) };
        variable.value = Value::Indexed(values.into_iter().collect());
        variable.element_spans = spans.into_iter().collect();
        variable.is_set = true;
        variable.set_at = span;
        Ok(())
    }

    /// The same where indices, old elements or attributes matter.
    fn put_elements(&mut self, name: &str, literal: &[Element], append: bool, span: Span) -> Run {
        let edits = self.edits(name, literal, span)?;
        for Edit { value, span, .. } in &edits {
            self.spend(COST_OF_A_VALUE, *span)?;
            self.refuse_garbled(value, *span)?;
        }
        let variable = self.variable_for_elements(name, span);
        variable.is_set = true;
        variable.set_at = span;
        if !append {
            variable.value = Value::Indexed(BTreeMap::new());
            variable.element_spans.clear();
        }
        let mut next = self.last_index(name).map_or(0, |last| last + 1);
        for Edit { keyed, value, span } in edits {
            let mut adds = false;
            if let Some((keyed, text)) = keyed {
                let index = self.integer(&text, origin_of(&keyed.subscript), keyed.span)?;
                next = self.resolved(name, index, keyed.span)?;
                adds = keyed.append;
            }
            if i64::try_from(next).is_err() {
                let message = "the index of this element is beyond what bash can count";
                return self.refuse(code::SUBSCRIPT_RANGE, span, message, "");
            }
            self.put_element(name, Key::Index(next), value, adds, span)?;
            next += 1;
        }
        if let Some(variable) = self.variables.get_mut(name) {
            variable.set_at = span;
        }
        Ok(())
    }

    /// The elements of a literal, their words expanded: bash does all of that before it looks at the first index.
    fn edits<'a>(&mut self, name: &str, literal: &'a [Element], span: Span) -> Run<Vec<Edit<'a>>> {
        let mut edits = Vec::new();
        self.each(literal, |shell, element| {
            shell.step(1, span)?;
            match element {
                Element::Word(word) => {
                    let mut values = Vec::new();
                    shell.word(word, &mut values)?;
                    let edit = |value| Edit { keyed: None, value, span: word.span };
                    edits.extend(values.into_iter().map(edit));
                }
                Element::Keyed(keyed) => {
                    let text = shell.index_text(name, keyed)?;
                    let value = shell.assigned_value(&keyed.value)?;
                    edits.push(Edit { keyed: Some((keyed, text)), value, span: keyed.span });
                }
            }
            Ok(())
        })?;
        Ok(edits)
    }

    /// The text of a subscript, which is computed only when the array has lost its old elements.
    fn index_text(&mut self, name: &str, keyed: &KeyedElement) -> Run<Vec<u8>> {
        let text = self.unquoted_arithmetic_text(&keyed.subscript)?;
        if text.is_empty() {
            return self.refuse(code::SUBSCRIPT, keyed.span, "an empty subscript", "write a number");
        }
        if text.windows(name.len()).any(|window| window == name.as_bytes()) {
            let message = "this subscript uses the array that is being assigned";
            return self.refuse(code::SUBSCRIPT, keyed.span, message, "write the number itself");
        }
        Ok(text)
    }

    /// `( [key]=value … )`, or `( key value … )`, for an associative array.
    fn put_associative(&mut self, name: &str, literal: &[Element], append: bool, span: Span) -> Run {
        let mut pairs = match literal.first() {
            Some(Element::Word(first)) => self.pairs_of_words(first, literal, span)?,
            _ => self.keyed_pairs(literal, span)?,
        };
        for Pair { key, value, span, .. } in &pairs {
            self.spend(COST_OF_A_VALUE + key.len(), *span)?;
            self.refuse_garbled(key, *span)?;
            self.refuse_garbled(value, *span)?;
            self.check_key(key, *span)?;
        }
        self.touched = true;
        if let Some(variable) = self.variables.get_mut(name) {
            variable.is_set = true;
            variable.set_at = span;
            if let (Value::Associative(elements), false) = (&mut variable.value, append) {
                // `[key]+=` adds to what was there before the literal.
                for Pair { key, value, append, .. } in &mut pairs {
                    if std::mem::take(append) {
                        let before = elements.get(key).cloned().unwrap_or_default();
                        value.splice(..0, before);
                    }
                }
                elements.clear();
            }
        }
        pairs.into_iter().try_for_each(|Pair { key, value, append, span }| {
            self.step(1, span)?;
            self.put_element(name, Key::Text(key), value, append, span)
        })
    }

    /// `( key value … )`; the last value may be missing.
    fn pairs_of_words(&mut self, first: &Word, literal: &[Element], span: Span) -> Run<Vec<Pair>> {
        if self.variables.sources().of(first.span).slice(first.span).starts_with(b"[") {
            let message = "bash takes this for an element without a value";
            return self.refuse(code::SUBSCRIPT, first.span, message, "quote the bracket");
        }
        let mut words = Vec::new();
        for element in literal {
            let Element::Word(word) = element else {
                let message = "bash takes either keys in brackets or a list of keys and values";
                let hint = "write `[key]=value` for all of them";
                return self.refuse(code::SUBSCRIPT, span, message, hint);
            };
            self.refuse_quoted_list(word)?;
            words.push((self.value_keeping_tilde(word)?, word.span));
        }
        let mut pairs = Vec::new();
        let mut words = words.into_iter();
        while let Some((key, span)) = words.next() {
            let value = words.next().map(|(value, _)| value).unwrap_or_default();
            pairs.push(Pair { key, value, append: false, span });
        }
        Ok(pairs)
    }

    /// `( [key]=value … )`
    fn keyed_pairs(&mut self, literal: &[Element], span: Span) -> Run<Vec<Pair>> {
        let mut pairs = Vec::new();
        for element in literal {
            let Element::Keyed(keyed) = element else {
                let message = "an element of an associative array needs its key";
                return self.refuse(code::SUBSCRIPT, span, message, "write `[key]=value`");
            };
            self.refuse_quoted_list(&keyed.subscript)?;
            self.refuse_quoted_list(&keyed.value)?;
            let key = self.value_keeping_tilde(&keyed.subscript)?;
            let value = self.value_keeping_tilde(&keyed.value)?;
            pairs.push(Pair { key, value, append: keyed.append, span: keyed.span });
        }
        Ok(pairs)
    }
}
