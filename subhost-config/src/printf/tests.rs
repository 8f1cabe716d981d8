//! Tables, and generated formats and arguments against bash.

use super::*;
use crate::real_bash::{Random, cases, outputs, quoted as in_script};

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn prints_like_bash() {
    for (format, arguments, expected) in [
        ("%s-%s\\n", &["a", "b", "c"][..], "a-b\nc-\n"),
        ("[%5s|%-5s|%.1s|%*s]", &["a", "b", "cd", "-3", "e"], "[    a|b    |c|e  ]"),
        ("%d %i %+d % d %05d %.3d", &["0x1f", "017", "5", "6", "-7", "8"], "31 15 +5  6 -0007 008"),
        ("%u %o %#o %x %#X", &["-1", "8", "8", "255", "255"], "18446744073709551615 10 010 ff 0XFF"),
        ("%#.3o|%#.0o|%.0d|%#05o|%#06x", &["8", "0", "0", "8", "10"], "010|0||00010|0x000a"),
        ("%b|%s", &["a\\tb\\0101\\c", "c"], "a\tbA"),
        ("%q", &["a b"], "a\\ b"),
        ("%q", &["it's ~ #:~"], "it\\'s\\ ~\\ #:\\~"),
        ("%q", &["a\tb"], "$'a\\tb'"),
        ("\\x41\\u00e9\\101\\q%%\\", &[], "Aé\u{41}\\q%\\"),
        ("plain", &["unused"], "plain"),
        ("%d", &[], "0"),
        ("", &["a"], ""),
    ] {
        let printed = printf(format.as_bytes(), &words(arguments)).unwrap();
        assert_eq!(String::from_utf8(printed).unwrap(), expected, "{format}");
    }
}

#[test]
fn refuses_what_bash_complains_of_and_what_is_not_supported() {
    for (format, arguments) in [
        ("%d", &["1x"][..]),
        ("%d", &["08"]),
        ("%d", &["9223372036854775808"]),
        ("%u", &["18446744073709551616"]),
        ("%d", &["'a"]),
        ("%d", &[" "]),
        ("%", &[]),
        ("%5", &[]),
        ("%y", &[]),
        ("%5%", &[]),
        ("%n", &["v"]),
        ("%f", &["1"]),
        ("%(%Y)T", &[]),
        ("%Q", &["a"]),
        ("%c", &[""]),
        ("a\\0b", &[]),
        ("\\x", &[]),
        ("%b", &["\\u"]),
        ("%1048577s", &[]),
        ("%99999999999999999999999s", &[]),
        ("%*s", &["1048577"]),
        ("%.1048577d", &[]),
        ("%.-1d", &["5"]),
    ] {
        assert!(printf(format.as_bytes(), &words(arguments)).is_err(), "{format} {arguments:?}");
    }
    let many = vec![Vec::new(); 1000];
    assert_eq!(printf(b"%1000000s", &many), Err("printf: more than 16 MiB".to_owned()));
}

#[test]
fn echoes_like_bash() {
    for (arguments, expected) in [
        (&["a", "b"][..], "a b\n"),
        (&["-n", "a"], "a"),
        (&["-e", "a\\tb\\c", "c"], "a\tb"),
        (&["-neE", "a\\t"], "a\\t"),
        (&["-E", "-e", "\\x41\\0101\\101"], "AA\\101\n"),
        (&["-x", "a"], "-x a\n"),
        (&["-"], "-\n"),
        (&["--", "a"], "-- a\n"),
        (&["a", "-n"], "a -n\n"),
        (&[], "\n"),
    ] {
        assert_eq!(String::from_utf8(echo(&words(arguments))).unwrap(), expected, "{arguments:?}");
    }
}

fn pieces(random: &mut Random, from: &[&[u8]], most: usize) -> Vec<u8> {
    (0..random.below(most + 1)).flat_map(|_| *random.choose::<&[u8]>(from)).copied().collect()
}

const ESCAPES: &[&[u8]] = &[
    b"a",
    b"\\n",
    b"\\t",
    b"\\",
    b"\\\\",
    b"\\0",
    b"\\1",
    b"\\12",
    b"\\0101",
    b"\\777",
    b"\\x",
    b"\\x4",
    b"\\xe9",
    b"\\u",
    b"\\u41",
    b"\\u00e9",
    b"\\ud800",
    b"\\U1F600",
    b"\\U7fffffff",
    b"\\Uffffffff",
    b"\\c",
    b"\\q",
    b"'",
    b"\\'",
    b"\\\"",
    b"\\?",
    b"7",
    b"f",
    b" ",
    b"\xc3\xa9",
    b"\xff",
    b"\\e",
    b"\\a\\b\\f\\v\\r",
    b"{41}",
    b"%",
    b"8",
];
const ARGUMENTS: &[&[u8]] = &[
    b"",
    b"0",
    b"1",
    b"-1",
    b"12",
    b"0x1F",
    b"0X",
    b"017",
    b"08",
    b"+5",
    b" 7",
    b"\t-7",
    b"7 ",
    b"a",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"18446744073709551615",
    b"-18446744073709551615",
    b"'a",
    b"1e3",
    b"a b",
    b"~a:~b",
    b"#x",
    b"it's",
    b"a\tb",
    b"\xc3\xa9",
    b"\xff",
    b"$x`y`",
    b"-",
    b"--1",
    b"\xe2\x80\x8b",
    b"00",
    b"0x",
    b"{a,b}!",
    b"\x7f",
    b"\xc2\x85",
    b"a\\tb\\c",
    b"\\101\\0101",
];

/// A command in a script, how it prints what it has done, and what it has to print.
struct Asked {
    command: Vec<u8>,
    arguments: Vec<Vec<u8>>,
    print: &'static str,
    ours: Vec<u8>,
}

/// Asks bash for all that is not refused here; it must not complain.
fn compare(asked: &[Asked]) {
    let mut script = b"exec 2>&1\n".to_vec();
    for Asked { command, arguments, print, .. } in asked {
        script.extend_from_slice(command);
        for argument in arguments {
            script.push(b' ');
            script.extend(in_script(argument));
        }
        script.extend(format!("; s=$?; {print}; printf '|%s\\0' $s\n").into_bytes());
    }
    let answers = outputs(&script, asked.len());
    for (Asked { command, arguments, ours, .. }, answer) in asked.iter().zip(answers) {
        let ours = [ours.as_slice(), b"|0"].concat();
        let shown: Vec<String> = arguments.iter().map(|word| word.escape_ascii().to_string()).collect();
        let shown = format!("{} {shown:?}", command.escape_ascii());
        assert_eq!(ours.escape_ascii().to_string(), answer.escape_ascii().to_string(), "{shown}");
    }
}

#[test]
fn generated_formats_print_as_in_bash() {
    let mut random = Random::new();
    let mut asked = Vec::new();
    let mut tried = 0;
    while asked.len() < cases(20_000) {
        let mut format = Vec::new();
        for _ in 0..random.below(3) + 1 {
            format.extend(pieces(&mut random, ESCAPES, 2));
            format.push(b'%');
            format.extend(pieces(&mut random, &[b"-", b"+", b" ", b"0", b"#", b"'"], 2));
            format.extend_from_slice(random.choose::<&[u8]>(&[b"", b"", b"5", b"12", b"*"]));
            format.extend_from_slice(random.choose::<&[u8]>(&[b"", b"", b".", b".0", b".3", b".*", b".12"]));
            format.extend_from_slice(random.choose::<&[u8]>(&[b"", b"", b"", b"l", b"hh", b"j"]));
            format.push(*random.choose(b"sdiuoxXcbqsbd%z"));
        }
        let arguments: Vec<Vec<u8>> =
            (0..random.below(7)).map(|_| random.choose::<&[u8]>(ARGUMENTS).to_vec()).collect();
        let arguments: Vec<Vec<u8>> = match random.below(3) {
            0 => arguments.into_iter().map(|_| pieces(&mut random, ESCAPES, 3)).collect(),
            _ => arguments,
        };
        tried += 1;
        if let Ok(ours) = printf(&format, &arguments) {
            let (start, print) =
                *random.choose(&[("printf --", ":"), ("r=; printf -v r --", "printf %s \"$r\"")]);
            let command = [start.as_bytes(), b" ", &in_script(&format)].concat();
            asked.push(Asked { command, arguments, print, ours });
        }
    }
    assert!(tried < asked.len() * 5, "{} of {tried} formats are accepted: too few", asked.len());
    compare(&asked);
}

#[test]
fn generated_arguments_are_echoed_as_in_bash() {
    let mut random = Random::new();
    let mut asked = Vec::new();
    for _ in 0..cases(10_000) {
        let mut arguments: Vec<Vec<u8>> = Vec::new();
        for _ in 0..random.below(3) {
            arguments.push(
                random
                    .choose::<&[u8]>(&[b"-e", b"-n", b"-E", b"-en", b"-ne", b"-x", b"-", b"--", b"-ee"])
                    .to_vec(),
            );
        }
        for _ in 0..random.below(4) {
            arguments.push(pieces(&mut random, ESCAPES, 4));
        }
        let ours = echo(&arguments);
        // A NUL would part the answers.
        if !ours.contains(&0) {
            asked.push(Asked { command: b"echo".to_vec(), arguments, print: ":", ours });
        }
    }
    compare(&asked);
}

#[test]
fn characters_are_quoted_as_in_bash() {
    let mut asked = Vec::new();
    // All characters in a long run.
    let step = 1_000_000 / cases(10_000).clamp(1, 1_000_000);
    let mut characters = 0;
    for character in (1..0x11_0000).step_by(step).chain(1..0x200).filter_map(char::from_u32) {
        characters += 1;
        let arguments = words(&[&character.to_string(), &format!("a{character}"), &format!(":{character}")]);
        if let Ok(ours) = printf(b"%q ", &arguments) {
            asked.push(Asked { command: b"printf '%q '".to_vec(), arguments, print: ":", ours });
        }
    }
    assert!(asked.len() * 100 > characters * 98, "{} of {characters}", asked.len());
    compare(&asked);
}
