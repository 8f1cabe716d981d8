//! What stands behind `if`: `[[ ]]`, `[ ]`, `(( ))` and lists of them.

use super::Generator;
use super::word::Place;

impl Generator {
    pub(super) fn condition(&mut self) -> String {
        match self.random.weighted(&[(8, 0), (5, 1), (4, 2), (1, 3), (1, 4), (1, 5)]) {
            0 => format!("[[ {} ]]", self.double_bracket()),
            1 => self.test(),
            2 => format!("(({}))", self.deeper(Self::arithmetic)),
            3 => self.random.pick(&["true", "false", ":", "! true", "! false"]).to_owned(),
            4 if self.depth > 0 => {
                let operator = self.random.pick(&["&&", "||"]);
                self.deeper(|it| format!("{} {operator} {}", it.condition(), it.condition()))
            }
            _ => format!("! [[ {} ]]", self.double_bracket()),
        }
    }

    fn double_bracket(&mut self) -> String {
        if self.depth > 0 && self.random.percent(25) {
            return self.deeper(|it| {
                let (left, right) = (it.double_bracket(), it.double_bracket());
                it.random
                    .pick(&["L && R", "L || R", "! L", "( L )", "( L || R ) && L", "L &&\nR"])
                    .replace('L', &left)
                    .replace('R', &right)
            });
        }
        let left = self.operand_of_condition();
        match self.random.weighted(&[(8, 0), (3, 1), (4, 2), (3, 3), (4, 4), (2, 5), (1, 6)]) {
            0 => format!("{left} {} {}", self.random.pick(&["==", "!=", "="]), self.pattern()),
            1 => format!("{left} {} {}", self.random.pick(&["<", ">", "=="]), self.operand_of_condition()),
            2 => format!("{} {left}", self.random.pick(&["-z", "-n"])),
            3 => format!(
                "-v {}",
                self.random.pick(&["A", "B", "A[0]", "A[1]", "M[x]", "nothing", "I", "A[@]", "some_name"])
            ),
            4 => {
                let operator = self.random.pick(&["-eq", "-ne", "-lt", "-le", "-gt", "-ge"]);
                format!(
                    "{} {operator} {}",
                    self.random.pick(&["$I", "I", "3", "J+1", "${#A[@]}", "${#A}", "1"]),
                    self.small()
                )
            }
            5 => {
                let regex = self.random.pick(&[
                    "^a",
                    "b$",
                    "^[a-z]+$",
                    "a.c",
                    "a|b",
                    "(a)(b)?",
                    "^$",
                    "[0-9]+",
                    "\\.",
                    "\"a.b\"",
                    "$A",
                    "\"$A\"",
                    "^([^:]*):(.*)$",
                    "x{2}",
                    "[[:alpha:]]",
                    "^a*$",
                ]);
                format!("{left} =~ {regex}")
            }
            _ => left,
        }
    }

    fn operand_of_condition(&mut self) -> String {
        match self.random.weighted(&[(6, 0), (4, 1), (2, 2)]) {
            0 => self.reference(),
            1 => self.plain(),
            _ => self.word(Place::Inner),
        }
    }

    fn test(&mut self) -> String {
        let word = |it: &mut Self| match it.random.weighted(&[(5, 0), (3, 1), (1, 2)]) {
            0 => format!("\"{}\"", it.reference()),
            1 => it
                .random
                .pick(&["a", "b", "abc", "''", "\"\"", "x.y", "'a b'", "1", "-n", "!", "'('"])
                .to_owned(),
            _ => format!("\"{}\"", it.reference()),
        };
        let (left, right) = (word(self), word(self));
        let inside = match self.random.weighted(&[(6, 0), (4, 1), (3, 2), (1, 3), (1, 4), (1, 5)]) {
            0 => format!("{left} {} {right}", self.random.pick(&["=", "==", "!=", "\\<", "\\>"])),
            1 => format!("{} {left}", self.random.pick(&["-n", "-z", "!", "-n", "! -z"])),
            2 => {
                let operator = self.random.pick(&["-eq", "-ne", "-lt", "-le", "-gt", "-ge"]);
                format!(
                    "{} {operator} {}",
                    self.random.pick(&["\"$I\"", "3", "${#A[@]}", "${#A}", "' 3 '", "-1"]),
                    self.small()
                )
            }
            3 => left,
            4 => format!("-n {left} {} -z {right}", self.random.pick(&["-a", "-o"])),
            _ => self
                .random
                .pick(&["-v A", "-v nothing", "-v A[1]", "", "! a", "! '' ", "\\( a \\)", "a -a b"])
                .to_owned(),
        };
        if self.random.percent(80) { format!("[ {inside} ]") } else { format!("test {inside}") }
    }
}
