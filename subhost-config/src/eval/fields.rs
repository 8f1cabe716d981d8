//! Collecting what a word expands to, and splitting it on the way.

use crate::marked::Marked;

/// What separates words, as the variable IFS says.
#[derive(Debug, Clone)]
pub(super) struct Separators {
    /// Blanks: any number of them is one separator.
    blank: Vec<u8>,
    /// Others: each is one.
    other: Vec<u8>,
    /// What joins `"$*"`.
    first: Option<u8>,
}

impl Separators {
    /// Those of this value of IFS; without one, those that bash begins with.
    pub(super) fn of(ifs: Option<&[u8]>) -> Self {
        let ifs = ifs.unwrap_or(b" \t\n");
        let (blank, other) = ifs.iter().partition(|byte| matches!(byte, b' ' | b'\t' | b'\n'));
        Self { blank, other, first: ifs.first().copied() }
    }

    /// What stands between the elements of `"$*"`.
    pub(super) fn joint(&self) -> &[u8] {
        self.first.as_slice()
    }
}

/// The fields of one word.
#[derive(Debug)]
pub(super) struct Fields {
    separators: Separators,
    /// False: one field whatever comes, as behind `=`.
    split: bool,
    done: Vec<Marked>,
    /// None as long as nothing asks for a field: an unquoted empty variable gives none.
    current: Option<Marked>,
    /// The last field was ended by blanks, to which one other separator may still belong.
    after_blank: bool,
    /// Inside `"…$@…"`: an empty text makes no field.
    silent: bool,
}

impl Fields {
    /// No fields yet.
    pub(super) fn new(separators: Separators, split: bool) -> Self {
        Self { separators, split, done: Vec::new(), current: None, after_blank: false, silent: false }
    }

    /// Literal text, which is never split. Quoted text makes a field even if it is empty.
    pub(super) fn literal(&mut self, bytes: &[u8], quoted: bool) {
        if !(self.silent && bytes.is_empty()) {
            self.element(bytes, quoted);
        }
    }

    /// An element of `"$@"`, which is a field in any case.
    pub(super) fn element(&mut self, bytes: &[u8], quoted: bool) {
        self.after_blank = false;
        self.current.get_or_insert_default().push(bytes, quoted);
    }

    /// The result of an unquoted expansion.
    pub(super) fn expansion(&mut self, bytes: &[u8]) {
        if !self.split {
            if !bytes.is_empty() {
                self.literal(bytes, false);
            }
            return;
        }
        for &byte in bytes {
            if self.separators.blank.contains(&byte) {
                if let Some(field) = self.current.take() {
                    self.done.push(field);
                    self.after_blank = true;
                }
            } else if self.separators.other.contains(&byte) {
                match self.current.take() {
                    Some(field) => self.done.push(field),
                    None if self.after_blank => {}
                    None => self.done.push(Marked::default()),
                }
                self.after_blank = false;
            } else {
                self.literal(&[byte], false);
            }
        }
    }

    /// Between two elements of `$@`: the next begins a new field.
    pub(super) fn separator(&mut self) {
        if self.split {
            self.done.extend(self.current.take());
            self.after_blank = false;
        } else {
            self.literal(b" ", true);
        }
    }

    /// How many fields there are so far.
    pub(super) fn count(&self) -> usize {
        self.done.len() + usize::from(self.current.is_some())
    }

    /// Whether an empty text makes no field.
    pub(super) fn silent(&self) -> bool {
        self.silent
    }

    /// Sets that, for what comes next.
    pub(super) fn set_silent(&mut self, silent: bool) {
        self.silent = silent;
    }

    /// What it splits by.
    pub(super) fn separators(&self) -> &Separators {
        &self.separators
    }

    /// Whether it splits at all.
    pub(super) fn splits(&self) -> bool {
        self.split
    }

    /// The fields, where it was split.
    pub(super) fn finish(mut self) -> Vec<Marked> {
        self.done.extend(self.current.take());
        self.done
    }

    /// As one value, where nothing was split.
    pub(super) fn into_one(self) -> Marked {
        self.current.unwrap_or_default()
    }
}
