//! `${…}` in all its forms.

use super::Generator;
use super::word::Place;

impl Generator {
    /// `${…}`; inside double quotes or not.
    pub(super) fn expansion(&mut self, quoted: bool) -> String {
        let what = self.parameter();
        match self.random.weighted(&[
            (10, 0),
            (10, 1),
            (10, 2),
            (7, 3),
            (7, 4),
            (6, 5),
            (6, 6),
            (4, 7),
            (3, 8),
            (4, 9),
        ]) {
            0 => {
                let operator = self.random.weighted(&[(6, ":-"), (3, "-"), (4, ":+"), (3, "+")]);
                format!("${{{what}{operator}{}}}", self.operand(quoted))
            }
            1 => {
                let operator = self.random.pick(&["#", "##", "%", "%%"]);
                format!("${{{what}{operator}{}}}", self.pattern())
            }
            2 => {
                let operator = self.random.pick(&["/", "//", "/#", "/%"]);
                let replacement = match self.random.below(5) {
                    0 => String::new(),
                    1 => "/".to_owned(),
                    _ => format!("/{}", self.operand(quoted)),
                };
                format!("${{{what}{operator}{}{replacement}}}", self.pattern())
            }
            3 => {
                let operator = self.random.pick(&["^", "^^", ",", ",,", "~", "~~"]);
                let pattern = if self.random.percent(35) { self.pattern() } else { String::new() };
                format!("${{{what}{operator}{pattern}}}")
            }
            4 => {
                let offset = self
                    .random
                    .pick(&["0", "1", "2", " -1", " -2", "I", "1+1", "3", "(-3)", "10", "9", " -9", "${#A}"]);
                let length =
                    self.random.pick(&["", ":1", ":2", ":0", ":", "", ": -1", ":5", ":1+1", ":100", ":I*I"]);
                format!("${{{what}:{offset}{length}}}")
            }
            5 => {
                let name = self.name();
                self.random
                    .pick(&[
                        "${#A}", "${#A[@]}", "${#B[*]}", "${#A[@]}", "${#I}", "${#A[0]}", "${#A[1]}", "${#B}",
                    ])
                    .replace('B', name)
            }
            6 => {
                let operator = self.random.pick(&["Q", "U", "u", "L", "E", "a", "A", "K", "k", "Q", "A"]);
                format!("${{{what}@{operator}}}")
            }
            7 => {
                let name = self.name();
                self.random
                    .weighted(&[
                        (4, "${!A[@]}"),
                        (2, "${!A[*]}"),
                        (usize::from(self.associative), "${!M[@]}"),
                    ])
                    .replace('A', name)
            }
            8 if !self.indirect => self.random.pick(&["${!I*}", "${!some@}", "${!A@}"]).to_owned(),
            8 => self
                .random
                .pick(&["${!R}", "${!R:-x}", "${!R#a}", "${!I*}", "${!some@}", "${!R[0]}", "${!R^^}"])
                .to_owned(),
            _ => {
                let name = self.name();
                let operator = self.random.pick(&[":=", "="]);
                format!("${{{name}{operator}{}}}", self.operand(quoted))
            }
        }
    }

    /// What is expanded: a name, an element, all elements.
    fn parameter(&mut self) -> String {
        let name = self.name();
        match self.random.weighted(&[(9, 0), (5, 1), (3, 2), (3, 3), (2, 4), (2, 5), (1, 6)]) {
            0 => name.to_owned(),
            1 => format!("{name}[@]"),
            2 => format!("{name}[*]"),
            3 => format!("{name}[{}]", self.subscript()),
            4 if self.associative => {
                self.random.pick(&["M[x]", "M[@]", "M[y z]", "M[$A]", "M[*]", "M"]).to_owned()
            }
            5 => self.integer().to_owned(),
            _ if self.in_function => self.random.pick(&["1", "2", "@", "*", "3"]).to_owned(),
            _ => name.to_owned(),
        }
    }

    pub(super) fn subscript(&mut self) -> String {
        self.random
            .weighted(&[
                (6, "0"),
                (6, "1"),
                (3, "2"),
                (1, "-1"),
                (1, "1+1"),
                (1, "0x1"),
                (1, " 1 "),
                (1, "${#A[@]}"),
                (1, "I*I"),
            ])
            .to_owned()
    }

    /// The word behind an operator.
    fn operand(&mut self, quoted: bool) -> String {
        match self.random.weighted(&[(5, 0), (3, 1), (3, 2), (2, 3)]) {
            0 => self.plain(),
            1 if quoted => self
                .random
                .pick(&["a b", "", "'", "a'b", "\\}", "\\'", "\\\"", "x", "'a b'", "&", "\\&", "~"])
                .to_owned(),
            1 => self.word(Place::Inner),
            2 => self.reference(),
            _ => self
                .random
                .pick(&[
                    "\"\"",
                    "\"a b\"",
                    "\"$A\"",
                    "\"${A[@]}\"",
                    "a b",
                    "&",
                    "[&]",
                    "\\&",
                    "\"&\"",
                    "$A",
                    "\\/",
                    "}",
                ])
                .to_owned(),
        }
    }

    pub(super) fn pattern(&mut self) -> String {
        let count = self.random.weighted(&[(6, 1), (5, 2), (2, 3)]);
        (0..count).map(|_| self.pattern_piece()).collect()
    }

    fn pattern_piece(&mut self) -> String {
        let extended = usize::from(self.extglob);
        match self.random.weighted(&[(8, 0), (8, 1), (3, 2), (2, 3), (4 * extended, 4)]) {
            0 => self
                .random
                .pick(&[
                    "a", "b", ".", ":", "x", "\\*", "\\/", "ab", "é", "'*'", "\"a\"", "0", "-", "\\a", "B",
                    "F",
                ])
                .to_owned(),
            1 => self.random.pick(&["*", "?", "*", ".*", "*.", "*:", ":*", "a*", "??"]).to_owned(),
            2 => self
                .random
                .pick(&[
                    "[a-c]",
                    "[!a]",
                    "[^a-z]",
                    "[[:alpha:]]",
                    "[[:space:]]",
                    "[[:digit:]]",
                    "[[:upper:]]",
                    "[]a]",
                    "[a\\-c]",
                    "[.:]",
                    "[",
                    "[a",
                    "[[:punct:]]",
                    "[!]]",
                    "[é]",
                    "[a-]",
                    "['a']",
                    "[\"*\"]",
                ])
                .to_owned(),
            3 => self.random.pick(&["$A", "\"$A\"", "${B}", "$B*", "*\"$B\"", "$I"]).to_owned(),
            _ => self
                .random
                .pick(&[
                    "+(a|b)",
                    "@(a|ab)",
                    "?(x)",
                    "*([a-c])",
                    "!(a)",
                    "!(*.raw)",
                    "+([[:digit:]])",
                    "@(|a)",
                ])
                .to_owned(),
        }
    }
}
