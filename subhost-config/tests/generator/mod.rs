//! Writes random scripts within the configuration language, such as people write and stranger ones.
//!
//! Names tell what they are used for: `A`–`D` hold strings and indexed arrays, `M` and `N` are associative, `I`–`K`
//! hold integers, `R` names another variable, `f` and `g` are functions. All loops end.

mod arithmetic;
mod condition;
mod expansion;
mod mixture;
mod random;
mod soup;
mod statement;
mod word;

pub(crate) use mixture::mixture;
use random::Random;
pub(crate) use soup::soup;

/// A writer of one script.
pub(crate) struct Generator {
    random: Random,
    /// How much more may be nested.
    depth: usize,
    extglob: bool,
    /// `M` is declared.
    associative: bool,
    /// `R` is set.
    indirect: bool,
    in_function: bool,
    in_loop: bool,
    /// Loops so far: each counts in a variable of its own, so that it ends.
    loops: usize,
}

/// The script of this seed.
pub(crate) fn script(seed: u64) -> Vec<u8> {
    let mut generator = Generator {
        random: Random::new(seed),
        depth: 3,
        extglob: false,
        associative: false,
        indirect: false,
        in_function: false,
        in_loop: false,
        loops: 0,
    };
    let script = generator.script();
    if generator.random.percent(6) { generator.spoiled(&script) } else { script.into_bytes() }
}

impl Generator {
    fn script(&mut self) -> String {
        let mut text = String::new();
        if self.random.percent(12) {
            self.extglob = true;
            text.push_str("shopt -s extglob\n");
        }
        if self.random.percent(35) {
            self.associative = true;
            text.push_str(&self.declare_associative("M"));
        }
        if self.random.percent(30) {
            text.push_str(&format!("I={} J={} K={}\n", self.small(), self.small(), self.small()));
        }
        if self.random.percent(15) {
            self.indirect = true;
            let target = self.random.pick(&["A", "B", "A[0]", "A[@]", "I", "some_name"]);
            text.push_str(&format!("R={target}\n"));
        }
        if self.random.percent(60) {
            text.push_str(&self.array_assignment());
            text.push('\n');
        }
        let count = 1 + self.random.below(6);
        text.push_str(&self.statements(count));
        text
    }

    /// The script with a few bytes lost, doubled or exchanged.
    fn spoiled(&mut self, script: &str) -> Vec<u8> {
        let mut bytes = script.as_bytes().to_vec();
        for _ in 0..1 + self.random.below(3) {
            if bytes.len() < 2 {
                break;
            }
            let at = self.random.below(bytes.len() - 1);
            match self.random.below(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, bytes[at]),
                2 => bytes.swap(at, at + 1),
                _ => {
                    let byte = self.random.pick(b" \t\n;&|()[]{}$'\"\\#=+-*?!~`<>,:ax01\x01\x7f\xc3");
                    bytes.insert(at, byte);
                }
            }
        }
        bytes
    }

    /// Something that nests, as long as there is depth left for it.
    fn deeper<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.depth;
        self.depth = before.saturating_sub(1);
        let result = write(self);
        self.depth = before;
        result
    }

    /// A new variable that counts the turns of a loop.
    fn counter(&mut self) -> String {
        self.loops += 1;
        format!("n{}", self.loops)
    }

    fn small(&mut self) -> String {
        self.random.pick(&["0", "1", "2", "3", "5", "7", "-1", "-2", "10", "64"]).to_owned()
    }

    /// A variable that holds strings or an indexed array.
    fn name(&mut self) -> &'static str {
        self.random.weighted(&[(8, "A"), (6, "B"), (4, "C"), (2, "D"), (1, "some_name")])
    }

    /// A variable that holds an integer.
    fn integer(&mut self) -> &'static str {
        self.random.pick(&["I", "J", "K"])
    }
}
