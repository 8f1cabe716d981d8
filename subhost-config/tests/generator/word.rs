//! Words: quoting, concatenation, and what expands in them.

use super::Generator;

/// What surrounds a word, which decides what its unquoted bytes mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind `=`: neither split nor matched with files.
    Assigned,
    /// An element of a list: split, braces expand, and a file pattern would be refused.
    Listed,
    /// Behind `:-` and the like, in `[[ ]]`, between `case` and `in`.
    Inner,
}

impl Generator {
    pub(super) fn word(&mut self, place: Place) -> String {
        if self.random.percent(25) {
            return self.plain();
        }
        let count = self.random.weighted(&[(6, 1), (5, 2), (3, 3), (1, 0), (1, 5)]);
        (0..count).map(|_| self.piece(place)).collect()
    }

    /// Letters that stand for themselves wherever they are.
    pub(super) fn plain(&mut self) -> String {
        self.random
            .pick(&[
                "a",
                "b",
                "ab",
                "abc",
                "x.y",
                "vda:1:/disks/a.raw",
                "br0",
                "/usr/lib/a.b.c",
                "foo",
                "FooBar",
                "é",
                "1",
                "42",
                "007",
                "0x1f",
                "a-b",
                "a_b",
                "a=b",
                "-n",
                "+x",
                "yes",
                "no",
                "a,b",
                "%d",
                "@",
                "x@y",
                "::",
                ":a:b:",
                "a#b",
                "日本",
                "ß",
                "^",
                "İ",
                "if",
                "a.raw",
                "AbC",
                "a%20b",
                "12:34",
                "..",
                "--",
                "==",
                "A",
                "M",
            ])
            .to_owned()
    }

    fn piece(&mut self, place: Place) -> String {
        let nested = usize::from(self.depth > 0);
        let listed = usize::from(place == Place::Listed);
        let assigned = usize::from(place == Place::Assigned);
        match self.random.weighted(&[
            (14, 0),
            (7, 1),
            (9, 2),
            (3, 3),
            (3, 4),
            (9, 5),
            (8 * nested, 6),
            (4 * nested, 7),
            (2 + 3 * listed, 8),
            (2 * assigned, 9),
            (1, 10),
            (2 * nested, 11),
        ]) {
            0 => self.plain(),
            1 => self.single_quoted(),
            2 => self.double_quoted(),
            3 => self.ansi_quoted(),
            4 => {
                let byte = self.random.pick(&[
                    " ", "\\", "$", "'", "\"", "a", "*", "{", "~", "#", "\n", "(", ";", "é", ",", "!",
                ]);
                format!("\\{byte}")
            }
            5 => self.reference(),
            6 => self.deeper(|it| it.expansion(false)),
            7 => self.deeper(|it| format!("$(({}))", it.arithmetic())),
            8 => self.braces(),
            11 => self.deeper(Self::substitution),
            // Patterns that no file is looked up for.
            9 => self.random.pick(&["*", "?", "[a-z]", "{a,b}", "*.raw", "~x"]).to_owned(),
            _ => self.random.pick(&["$\"a b\"", "\"\"", "''", "$", "{}", "{a}", "}", "$''"]).to_owned(),
        }
    }

    /// `$( … )` of what is computed.
    fn substitution(&mut self) -> String {
        let command = self.random.pick(&[
            "echo",
            "echo -n",
            "echo -e",
            "printf %s",
            "printf '%s,'",
            "printf '%s\\n'",
            "basename",
            "dirname",
            "echo 'a  b'",
        ]);
        let word = match command {
            "basename" | "dirname" => {
                self.random.pick(&["/a/b.c", "a/", "/", "x.y", "\"/$A/x\"", "//a//b"]).to_owned()
            }
            _ => self.word(Place::Listed),
        };
        if self.random.percent(10) && !word.contains(['\\', '`']) && !command.contains('\\') {
            return format!("`{command} {word}`");
        }
        format!("$({command} {word})")
    }

    pub(super) fn single_quoted(&mut self) -> String {
        let text = self.random.pick(&[
            "", "a b", "  a  ", "*", "a*", "$A", "\\", "\"", "x y z", "a\nb", "\t", "a:b", "[0]=x", "~",
            "{a,b}", "#", "é à", "`", "a  b\tc", "1 2 3", ".", "/", "(", ";", "!", "a\\b", "it",
        ]);
        format!("'{text}'")
    }

    pub(super) fn double_quoted(&mut self) -> String {
        let count = self.random.weighted(&[(2, 0), (6, 1), (4, 2), (2, 3)]);
        let inside: String = (0..count).map(|_| self.piece_in_double_quotes()).collect();
        format!("\"{inside}\"")
    }

    fn piece_in_double_quotes(&mut self) -> String {
        let nested = usize::from(self.depth > 0);
        match self.random.weighted(&[(8, 0), (6, 1), (8 * nested, 2), (2 * nested, 3), (3, 4), (nested, 5)]) {
            0 => self
                .random
                .pick(&[
                    "a", " ", "a b", "  ", "*", "'", "x", "é", "\n", "{a,b}", "~", "#", "1", "/", ".", ":",
                    "!", "a'b",
                ])
                .to_owned(),
            1 => self.reference(),
            2 => self.deeper(|it| it.expansion(true)),
            3 => self.deeper(|it| format!("$(({}))", it.arithmetic())),
            5 => self.deeper(Self::substitution),
            _ => self.random.pick(&["\\\"", "\\$", "\\\\", "\\`", "\\a", "\\\n", "\\'", "\\ "]).to_owned(),
        }
    }

    fn ansi_quoted(&mut self) -> String {
        let count = self.random.below(4);
        let inside: String = (0..count)
            .map(|_| {
                self.random.pick(&[
                    "a", " ", "\\n", "\\t", "\\'", "\\\"", "\\\\", "\\x41", "\\101", "\\u00e9", "\\u20ac",
                    "\\e", "\\?", "\\q", "\\xff", "\\x7f", "\\0", "b c", "\\U1F600",
                ])
            })
            .collect();
        format!("$'{inside}'")
    }

    /// A plain reference.
    pub(super) fn reference(&mut self) -> String {
        let name = self.name();
        match self.random.weighted(&[(8, 0), (5, 1), (3, 2), (3, 3), (1, 4)]) {
            0 => format!("${name}"),
            1 => format!("${{{name}}}"),
            2 => format!("${{{name}[@]}}"),
            3 => format!("${}", self.integer()),
            _ if self.in_function => {
                self.random.pick(&["$1", "$2", "$#", "$@", "$*", "${1}", "${@}"]).to_owned()
            }
            _ => format!("${{{name}[*]}}"),
        }
    }

    fn braces(&mut self) -> String {
        if self.random.percent(50) {
            return self
                .random
                .pick(&[
                    "{a,b}",
                    "{1..3}",
                    "{a..c}",
                    "{3..1}",
                    "{01..3}",
                    "{a..e..2}",
                    "{,x}",
                    "{a,{b,c}}",
                    "x{1,2}y",
                    "{a,b}{c,d}",
                    "{1..10..4}",
                    "{-1..1}",
                    "{a,'b c'}",
                    "{a,\"$A\"}",
                    "\\{a,b}",
                    "{a\\,b,c}",
                    "{$A,$B}",
                    "{1..2}{a..b}",
                    "{A..C}",
                    "{a,b",
                    "{1..}",
                    "{x..1}",
                    "${A}{a,b}",
                    "{{a,b},c}",
                    "{5..1..-2}",
                    "{00..2}",
                    "{a,b,}",
                    "{,}",
                ])
                .to_owned();
        }
        let count = 2 + self.random.below(2);
        let items: Vec<String> = (0..count)
            .map(|_| if self.depth > 0 { self.deeper(|it| it.piece(Place::Inner)) } else { self.plain() })
            .collect();
        format!("{{{}}}", items.join(","))
    }
}
