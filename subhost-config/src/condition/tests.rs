//! Tables, and generated conditions against bash.

use std::fs;
use std::os::unix::fs::FileTypeExt;

use super::*;
use crate::witness::{Dice, bash};

/// As in the bash of the tests: `x` is set, and the files are real.
struct World;

impl Facts for World {
    type Stop = ();

    fn file(&mut self, operator: &[u8], path: &[u8]) -> Result<bool, ()> {
        let path = std::str::from_utf8(path).expect("a path of the tests");
        // The directory of the tests is empty.
        let kind = path.starts_with('/').then(|| fs::metadata(path).ok()).flatten().map(|it| it.file_type());
        match operator {
            b"-a" | b"-e" => Ok(kind.is_some()),
            b"-c" => Ok(kind.is_some_and(|it| it.is_char_device())),
            b"-d" => Ok(kind.is_some_and(|it| it.is_dir())),
            b"-f" => Ok(kind.is_some_and(|it| it.is_file())),
            b"-t" => Ok(false),
            _ => Err(()),
        }
    }

    fn files(&mut self, operator: &[u8], left: &[u8], right: &[u8]) -> Result<bool, ()> {
        let exists = |path: &[u8]| matches!(path, b"/" | b"/dev/null");
        match operator {
            b"-ef" => Ok(exists(left) && left == right),
            b"-nt" if !exists(right) => Ok(exists(left)),
            b"-ot" if !exists(left) => Ok(exists(right)),
            b"-nt" | b"-ot" if left == right || !exists(left) || !exists(right) => Ok(false),
            _ => Err(()),
        }
    }

    fn is_set(&mut self, name: &[u8]) -> Result<bool, ()> {
        Ok(matches!(name, b"x" | b"x[0]" | b"0"))
    }

    fn option(&mut self, name: &[u8]) -> Result<bool, ()> {
        Ok(name == b"braceexpand")
    }
}

fn judge(words: &[&str]) -> Result<bool, TestError<()>> {
    test(&words.iter().map(|it| it.as_bytes().to_vec()).collect::<Vec<_>>(), &mut World)
}

#[test]
fn judges_by_the_number_of_arguments() {
    for (words, expected) in [
        (&[][..], false),
        (&[""], false),
        (&["-n"], true),
        (&["!", ""], true),
        (&["-z", ""], true),
        (&["!", "=", "x"], false),
        (&["-n", "=", "-n"], true),
        (&["(", "-n", ")"], true),
        (&["", "-o", "x"], true),
        (&["!", "a", "=", "b"], true),
        (&["(", "-n", "x", ")"], true),
        (&["a", "=", "a", "-a", "b", "=", "c"], false),
        (&["(", "(", "1", "-lt", " +2 ", ")", ")", "-a", "!", "!", "x"], true),
        (&["-v", "x", "-a", "-o", "braceexpand"], true),
    ] {
        assert_eq!(judge(words), Ok(expected), "{words:?}");
    }
}

#[test]
fn says_what_is_wrong() {
    for (words, expected) in [
        (&["a", "b"][..], "unary operator expected: a"),
        (&["a", "b", "c"], "binary operator expected: b"),
        (&["a", "-eq", "1"], "integer expression expected: a"),
        (&["1", "-eq", "9223372036854775808"], "integer expression expected: 9223372036854775808"),
        (&["a", "b", "c", "d", "e"], "too many arguments"),
        (&["a", "=", "a", "-x", "d"], "syntax error: unexpected -x"),
        (&["(", "a", "=", "a", "-o", "b"], "`)' expected"),
        (&["a", "=", "b", "-a", "!"], "argument expected"),
        (&["-R", "x"], "-R: not supported"),
    ] {
        assert_eq!(judge(words), Err(TestError::Message(expected.to_owned())), "{words:?}");
    }
    assert_eq!(judge(&["/", "-nt", "/dev/null"]), Err(TestError::Stop(())));
}

#[test]
fn many_arguments_need_little_stack() {
    let run = || {
        for word in ["!", "(", "-a", "x", "-t"] {
            let _ = judge(&vec![word; 500_000]);
        }
        assert_eq!(judge(&["x", "-o"].repeat(200_000)[1..]).map_err(drop), Err(()));
        assert_eq!(judge(&["x", "-a"].repeat(200_001)[..400_001]), Ok(true));
    };
    let thread = std::thread::Builder::new().stack_size(128 << 10).spawn(run).expect("a thread starts");
    thread.join().expect("the stack is enough");
}

#[test]
fn equals_bash_in_generated_tests() {
    let mut dice = Dice::new(11);
    let cases: Vec<Vec<String>> = (0..12000)
        .map(|at| if at % 2 == 0 { some_words(&mut dice) } else { some_condition(&mut dice, 3) })
        .collect();
    let quoted = |words: &[String]| words.iter().map(|it| format!("'{it}' ")).collect::<String>();
    let scripts: Vec<String> = cases.iter().map(|it| format!("[ {}]; echo $?", quoted(it))).collect();
    let mut results = 0;
    for (words, theirs) in cases.iter().zip(bash("x=", &scripts)) {
        let theirs = String::from_utf8_lossy(&theirs).into_owned();
        match test(&words.iter().map(|it| it.as_bytes().to_vec()).collect::<Vec<_>>(), &mut World) {
            Ok(value) => {
                results += 1;
                assert_eq!(if value { "0\n" } else { "1\n" }, theirs, "{words:?}");
            }
            Err(TestError::Message(_)) => assert!(theirs.ends_with("\n2\n"), "{words:?}: {theirs}"),
            Err(TestError::Stop(())) => {}
        }
    }
    assert!(results > 5000, "{results} of the conditions have a result");
}

#[test]
fn orders_strings_as_both_commands_do() {
    let strings: [&[u8]; 14] = [
        b"",
        b"a",
        b"A",
        b"ab",
        b"b",
        b"_",
        b" ",
        b"\xc3\xa9",
        b"\xc3\xbc",
        b"\xe2\x82\xac",
        b"\xf0\x9f\x98\x80",
        b"\xff",
        b"\xc3",
        b"\x7f",
    ];
    let pairs: Vec<(&[u8], &[u8])> =
        strings.iter().flat_map(|&left| strings.iter().map(move |&right| (left, right))).collect();
    let text = |bytes: &[u8]| bytes.iter().map(|it| format!("\\x{it:02x}")).collect::<String>();
    let scripts: Vec<String> = pairs
        .iter()
        .map(|(left, right)| {
            let (left, right) = (text(left), text(right));
            format!("l=$'{left}' r=$'{right}'\n[ \"$l\" '<' \"$r\" ]; a=$?; [[ $l < $r ]]; echo $a$?")
        })
        .collect();
    for ((left, right), theirs) in pairs.iter().zip(bash("", &scripts)) {
        let ours = Binary::Before.holds(left, right, &mut World).expect("strings have an order");
        assert_eq!(if ours { &b"00\n"[..] } else { b"11\n" }, theirs, "{left:?} {right:?}");
        assert_eq!(Binary::After.holds(right, left, &mut World), Ok(ours));
    }
}

const WORDS: [&str; 26] = [
    "",
    "a",
    "b",
    "x",
    "x[0]",
    "x[1]",
    "1",
    "2",
    " 3\t",
    "\n-4",
    "+5",
    "0x1",
    "9223372036854775808",
    "+-1",
    "1\n",
    "/",
    "/dev/null",
    "/none",
    "-",
    "--",
    "-q",
    "(a",
    ")b",
    "é",
    "braceexpand",
    "0",
];
const UNARY: [&str; 10] = ["-n", "-z", "-v", "-t", "-e", "-d", "-f", "-c", "-a", "-o"];
const BINARY: [&str; 14] =
    ["=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"];

fn some_words(dice: &mut Dice) -> Vec<String> {
    let one = |dice: &mut Dice| match dice.roll(6) {
        0 => dice.pick(&UNARY).to_owned(),
        1 => dice.pick(&BINARY).to_owned(),
        2 => dice.pick(&["(", ")", "!", "-a", "-o"]).to_owned(),
        _ => dice.pick(&WORDS).to_owned(),
    };
    (0..dice.roll(7)).map(|_| one(dice)).collect()
}

fn some_condition(dice: &mut Dice, depth: usize) -> Vec<String> {
    let word = |dice: &mut Dice| dice.pick(&WORDS).to_owned();
    let number = |dice: &mut Dice| dice.pick(&["1", "2", " 3", "-4\t", "+5"]).to_owned();
    let next = depth.saturating_sub(1);
    match if depth == 0 { dice.roll(5) } else { dice.roll(9) } {
        0 => vec![word(dice)],
        1 => vec![dice.pick(&UNARY).to_owned(), word(dice)],
        2 | 3 => vec![word(dice), dice.pick(&BINARY[..5]).to_owned(), word(dice)],
        4 => vec![number(dice), dice.pick(&BINARY[5..11]).to_owned(), number(dice)],
        5 => [vec!["!".to_owned()], some_condition(dice, next)].concat(),
        6 => [vec!["(".to_owned()], some_condition(dice, next), vec![")".to_owned()]].concat(),
        _ => {
            let operator = dice.pick(&["-a", "-o"]).to_owned();
            [some_condition(dice, next), vec![operator], some_condition(dice, next)].concat()
        }
    }
}
