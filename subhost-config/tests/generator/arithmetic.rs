//! Integer arithmetic.

use super::Generator;

impl Generator {
    pub(super) fn arithmetic(&mut self) -> String {
        if self.depth == 0 || self.random.percent(30) {
            return self.number();
        }
        self.deeper(|it| {
            match it.random.weighted(&[(14, 0), (3, 1), (3, 2), (4, 3), (3, 4), (2, 5), (2, 6), (1, 7)]) {
                0 => {
                    let operator = it.random.weighted(&[
                        (6, "+"),
                        (5, "-"),
                        (5, "*"),
                        (1, "/"),
                        (1, "%"),
                        (1, "**"),
                        (2, "<<"),
                        (2, ">>"),
                        (2, "&"),
                        (2, "|"),
                        (2, "^"),
                        (2, "<"),
                        (2, ">"),
                        (2, "<="),
                        (1, ">="),
                        (2, "=="),
                        (2, "!="),
                        (2, "&&"),
                        (2, "||"),
                        (1, ","),
                    ]);
                    let (left, right) = (it.arithmetic(), it.arithmetic());
                    let gap = it.random.pick(&["", " "]);
                    format!("{left}{gap}{operator}{gap}{right}")
                }
                1 => format!("{}{}", it.random.pick(&["-", "+", "!", "~", "- ", "! "]), it.arithmetic()),
                2 => format!("({})", it.arithmetic()),
                // In parentheses: only a name may stand before it, and a subexpression may.
                3 => {
                    let operator =
                        it.random.pick(&["=", "+=", "-=", "*=", "<<=", ">>=", "&=", "|=", "^=", "%=", "/="]);
                    format!("({}{operator}{})", it.integer(), it.arithmetic())
                }
                4 => format!("{}?{}:{}", it.arithmetic(), it.arithmetic(), it.arithmetic()),
                5 => {
                    let name = it.integer();
                    it.random.pick(&["X++", "X--", "++X", "--X"]).replace('X', name)
                }
                // Numbers only, so that it is one.
                6 => format!("L[{}]", it.random.pick(&["0", "1", "I*I", "J*J+1", "2"])),
                _ => it
                    .random
                    .pick(&[
                        "${#A}",
                        "${#A[@]}",
                        "${I:-1}",
                        "${I}",
                        "0$I",
                        "(I=3)",
                        "L[0]=5",
                        "L[J*J]=2",
                        "${nothing:-7}",
                    ])
                    .to_owned(),
            }
        })
    }

    fn number(&mut self) -> String {
        match self.random.weighted(&[(8, 0), (8, 1), (2, 2)]) {
            0 => self.random.pick(&["0", "1", "2", "3", "5", "7", "10", "64", "100", "63"]).to_owned(),
            1 => self.integer().to_owned(),
            _ => self
                .random
                .pick(&[
                    "0x1F",
                    "010",
                    "2#101",
                    "16#ff",
                    "36#Z",
                    "64#@_",
                    "9223372036854775807",
                    "0xffffffffffffffff",
                    "62#aZ",
                    "0${I#-}",
                    " 1 ",
                    "00",
                    "36#z",
                    "4294967296",
                    "37#aA",
                    "Z",
                ])
                .to_owned(),
        }
    }
}
