//! What is refused: each with its code and its place, all of a file in one go, and never a panic.

mod oracle;

use oracle::ours;
use proptest::prelude::*;
use subhost_config::{Diagnostic, Evaluator, Source, parse, render};

/// A script, then the code and the text of the place of each diagnostic in order.
const REFUSED: &[(&str, &[(&str, &str)])] = &[
    // Syntax
    ("A='x", &[("E0101", "'")]),
    ("A=\"x", &[("E0101", "\"")]),
    ("A=$'x\\'", &[("E0101", "$")]),
    ("A=(x\nB=y", &[("E0102", "(")]),
    ("A=x;;B=y\nC=$(d)", &[("E0103", ";"), ("E0210", "$(d)")]),
    ("; A=1", &[("E0103", ";")]),
    ("A=x)\nB=$(c)", &[("E0103", ")"), ("E0210", "$(c)")]),
    ("A=a(b)", &[("E0103", "(")]),
    ("A=+(a)", &[("E0103", "(")]),
    ("A=(a;b)", &[("E0103", ";")]),
    ("A=(a|b&c<d)", &[("E0103", "|"), ("E0103", "&"), ("E0103", "<")]),
    ("A=((a b) c)", &[("E0103", "(")]),
    ("A=x\0", &[("E0104", "\0")]),
    ("A=$(x", &[("E0105", "$(")]),
    ("A=\"${x\"", &[("E0105", "${")]),
    ("A=`x", &[("E0105", "`")]),
    ("A[1=x\nB=y", &[("E0105", "[")]),
    ("if true; then\nA=1\n", &[("E0202", "if"), ("E0105", "if")]),
    ("A=(x)y\nB=$(c)", &[("E0106", "(x)y"), ("E0210", "$(c)")]),
    ("A=(x)(y)", &[("E0106", "(x)(")]),
    ("A=(x)\"y z\" B=1", &[("E0106", "(x)\"")]),
    ("A=$'\\ud800'", &[("E0107", "$'\\ud800'")]),
    ("A[1]=(x)", &[("E0103", "A[1]=(x)")]),
    // Constructs
    ("echo hi", &[("E0201", "echo")]),
    ("A =x", &[("E0201", "A")]),
    ("\"A\"=x", &[("E0201", "\"A\"=x")]),
    ("1A=x", &[("E0201", "1A=x")]),
    ("A-b=x", &[("E0201", "A-b=x")]),
    (". ./other", &[("E0201", ".")]),
    (
        "source other\nunset A\n:\nset -u",
        &[("E0201", "source"), ("E0201", "unset"), ("E0201", ":"), ("E0201", "set")],
    ),
    ("eval 'A=1'\nexec x\ntrap x EXIT", &[("E0201", "eval"), ("E0201", "exec"), ("E0201", "trap")]),
    ("if a; then A=1; else B=$(c); fi\nC=`d`", &[("E0202", "if"), ("E0210", "`d`")]),
    ("for x in a b; do\nA=$x\ndone; B=$(c)", &[("E0202", "for"), ("E0210", "$(c)")]),
    ("while a\ndo b\ndone\nuntil c; do d; done", &[("E0202", "while"), ("E0202", "until")]),
    ("case $x in\na) A=1;;\n(b|c) B=2\n;;\nesac\nC=$(d)", &[("E0202", "case"), ("E0210", "$(d)")]),
    ("{ A=1\n}\n[[ a && b ]]\n! a", &[("E0202", "{"), ("E0202", "[["), ("E0202", "!")]),
    ("( A=1\n)\n(( A = 1 << 2 ))\nB=$(c)", &[("E0202", "("), ("E0202", "("), ("E0210", "$(c)")]),
    ("for ((i=0;i<3;i++)); do A+=x; done\nB=$(c)", &[("E0202", "for"), ("E0210", "$(c)")]),
    ("[ -f x ] && A=1\nB=$(c)", &[("E0201", "["), ("E0210", "$(c)")]),
    ("A=1 | b", &[("E0203", "|")]),
    ("A=1 && B=2 ||\nC=3\nD=$(e)", &[("E0203", "&&"), ("E0210", "$(e)")]),
    ("A=1 &\nB=2", &[("E0203", "&")]),
    ("A=1 > x\n< y\nB=2 2>&1", &[("E0204", ">"), ("E0204", "<"), ("E0205", "B=2 2")]),
    ("A=1 &> x", &[("E0204", "&>")]),
    ("A=1 b c\nD=two words", &[("E0205", "A=1 b"), ("E0205", "D=two words")]),
    ("A=1 export B", &[("E0205", "A=1 export")]),
    (
        "f() {\nA=1\n}\nfunction g {\nB=1; }\nC=$(d)",
        &[("E0206", "f"), ("E0206", "function"), ("E0210", "$(d)")],
    ),
    ("f ( )\n{ A=1; }\nC=$(d)", &[("E0206", "f"), ("E0210", "$(d)")]),
    ("cat <<EOF\nit's $(\nEOF\nA=$(b)", &[("E0201", "cat"), ("E0210", "$(b)")]),
    ("cat <<-'E F' <<X\n\"\n\tE F\n'\nX\nA=$(b)", &[("E0201", "cat"), ("E0210", "$(b)")]),
    ("A=$(touch canary)", &[("E0210", "$(touch canary)")]),
    ("A=\"a $(b \"c)\" ) d\" B=`e \\` f`", &[("E0210", "$(b \"c)\" )"), ("E0210", "`e \\` f`")]),
    ("A=( $(a) `b` $((1)) )", &[("E0210", "$(a)"), ("E0210", "`b`"), ("E0211", "$((1))")]),
    ("A=$((1+1)) B=$[2]", &[("E0211", "$((1+1))"), ("E0211", "$[2]")]),
    (
        "A=${B:-c} D=\"${E[@]}\" F=${#G} H=${!I}",
        &[("E0212", "${B:-c}"), ("E0212", "${E[@]}"), ("E0212", "${#G}"), ("E0212", "${!I}")],
    ),
    ("A=${} B=${x", &[("E0212", "${}"), ("E0105", "${")]),
    ("A=\"${B:-it's}\" C=${D:-'}'}", &[("E0212", "${B:-it's}"), ("E0212", "${D:-'}'}")]),
    (
        "A=$1 B=\"$@\" C=$? D=$$ E=$# F=$! G=$- H=$*",
        &[
            ("E0213", "$1"),
            ("E0213", "$@"),
            ("E0213", "$?"),
            ("E0213", "$$"),
            ("E0213", "$#"),
            ("E0213", "$!"),
            ("E0213", "$-"),
            ("E0213", "$*"),
        ],
    ),
    ("A=<(b) C=(>(d))", &[("E0214", "<(b)"), ("E0214", ">(d)")]),
    ("A=(* a? [b]c d[e])", &[("E0215", "*"), ("E0215", "?"), ("E0215", "["), ("E0215", "[")]),
    ("A=([0]=*)", &[("E0215", "*")]),
    ("A=({a,b} x{1..3}y)\nexport B={c,d}", &[("E0216", "{a,b}"), ("E0216", "{1..3}"), ("E0216", "{c,d}")]),
    ("A=~ B=a:~ C=(~root)", &[("E0217", "~"), ("E0217", "~"), ("E0217", "~")]),
    (
        "A[i]=x\nA[1+1]=y\nA[$B]=z\nA[08]=w\nA[]=v",
        &[("E0218", "[i]"), ("E0218", "[1+1]"), ("E0218", "[$B]"), ("E0218", "[08]"), ("E0218", "[]")],
    ),
    ("A=([x]=1 [\"2\"]=3)", &[("E0218", "[x]"), ("E0218", "[\"2\"]")]),
    ("declare -A A=([x]=1)", &[("E0219", "-A"), ("E0218", "[x]")]),
    (
        "declare -i A=1\nexport -n B\ndeclare\nexport 'C=1'\ndeclare +x D=1\ndeclare A[1]=x",
        &[
            ("E0219", "-i"),
            ("E0219", "-n"),
            ("E0219", "declare"),
            ("E0219", "'C=1'"),
            ("E0219", "+x"),
            ("E0219", "A[1]=x"),
        ],
    ),
    ("export A=1 B=$A\nexport C=1 C=2", &[("E0219", "B=$A"), ("E0219", "C=1")]),
    (
        "export A=1 | b\nexport C=2 > d\nexport E=$(f) G=*",
        &[("E0203", "|"), ("E0204", ">"), ("E0210", "$(f)")],
    ),
    ("C=' ' A=($C$) B=(x$ $% \"$C$\")", &[("E0213", "$")]),
    // Evaluation
    ("readonly A=1\nA=2\nA[3]=4\ndeclare A=5", &[("E0301", "A=2"), ("E0301", "A[3]=4"), ("E0301", "A=5")]),
    ("A[-1]=x", &[("E0302", "[-1]")]),
    ("A=(a b)\nA[-3]=x\nB=([-1]=x)", &[("E0302", "[-3]"), ("E0302", "[-1]")]),
    ("A=([9223372036854775807]=x y)", &[("E0302", "y")]),
    (
        "A=$HOSTNAME B=\"${UID}\" C=(x $RANDOM)",
        &[("E0303", "$HOSTNAME"), ("E0303", "${UID}"), ("E0303", "$RANDOM")],
    ),
    (
        "HOSTNAME+=.lan\nexport TERM=x\nPATH[1]=y",
        &[("E0303", "HOSTNAME+=.lan"), ("E0303", "TERM=x"), ("E0303", "PATH[1]=y")],
    ),
    ("IFS=: UID=0 RANDOM=4", &[("E0304", "IFS=:"), ("E0304", "UID=0"), ("E0304", "RANDOM=4")]),
    ("B='*.raw' A=($B)", &[("E0305", "$B")]),
    ("A=($'\\x01')\nexport B=$'\\x7f'", &[("E0306", "$'\\x01'"), ("E0306", "B=$'\\x7f'")]),
    ("export A", &[("E0307", "A")]),
    // Warnings
    ("A=$B", &[("W0503", "$B")]),
];

fn found(script: &str) -> Vec<(&'static str, String)> {
    let (_, diagnostics) = ours(script.as_bytes());
    let text = |diagnostic: &Diagnostic| {
        let span = diagnostic.span.expect("all complaints about a text have a place");
        script.get(span.start()..span.end()).expect("on characters").to_owned()
    };
    diagnostics.iter().map(|diagnostic| (diagnostic.code, text(diagnostic))).collect()
}

#[test]
fn refuses_with_code_and_place() {
    for (script, expected) in REFUSED {
        let expected: Vec<_> = expected.iter().map(|(code, text)| (*code, (*text).to_owned())).collect();
        assert_eq!(found(script), expected, "{script:?}");
    }
}

#[test]
fn a_refused_statement_sets_nothing_and_the_rest_is_still_read() {
    let (lines, _) = ours(b"A=1\nA=(x $(y) z) B=2\nC=3 && D=4\nexport E=5 F=`g`\nH=6\nreadonly H\nH=7 I=8\n");
    assert_eq!(lines, "declare -- A=\"1\"\ndeclare -r H=\"6\"\ndeclare -- I=\"8\"\n");
}

#[test]
fn limits_are_diagnostics() {
    let codes = |script: String| ours(script.as_bytes()).1.iter().map(|it| it.code).collect::<Vec<_>>();
    assert_eq!(codes(format!("A={}", "x".repeat(1024 * 1024 + 1))), ["E0402"]);
    assert_eq!(codes(format!("A={}", "$(".repeat(100_000))), ["E0403"]);
    assert_eq!(codes(format!("A={}", "\"${a:-".repeat(100_000))), ["E0403"]);
    assert_eq!(codes("if a\nthen\n".repeat(100_000)), ["E0202", "E0403"]);
    assert_eq!(codes("( ".repeat(100_000)), ["E0202", "E0403"]);
    assert_eq!(codes(format!("A=1\n{}", "A=$A$A\n".repeat(60))), ["E0405"]);
    let many = codes("echo\n".repeat(100_000));
    assert_eq!((many.len(), many.last()), (201, Some(&"E0404")));
    let warnings = codes("A=$B\n".repeat(100_000) + "UID=1");
    assert_eq!(warnings.len(), 102, "a flood of warnings hides no error");
    assert_eq!(warnings[100..], ["W0504", "E0304"]);
    let (_, diagnostics) = parse(&Source::new("big", vec![b'\n'; subhost_config::MAX_SOURCE_BYTES + 1]));
    assert_eq!(diagnostics[0].code, "E0401");
}

#[test]
fn a_hundred_thousand_elements_are_no_limit() {
    let script = format!("A=({})", "vda:1:/disks/a.raw\n".repeat(100_000));
    let (script, diagnostics) = parse(&Source::new("big", script));
    assert_eq!(diagnostics, []);
    let (variables, diagnostics) = Evaluator::new().run(&script);
    assert_eq!(diagnostics, []);
    assert_eq!(variables.get("A").map(|a| a.value.elements().len()), Some(100_000));
}

#[test]
fn bash_refuses_what_we_call_a_syntax_error() {
    for (script, expected) in REFUSED {
        let first = expected[0].0;
        // A text that ends in something open, and characters that are not allowed.
        if first.starts_with("E01") && !["E0104", "E0106", "E0107"].contains(&first) {
            let (_, complaints) = oracle::bash(script.as_bytes(), "");
            assert_ne!(complaints, "", "bash takes {script:?}");
        }
    }
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        3 => proptest::sample::select(vec![
            "A", "=", "+=", "(", ")", "[", "]", "$", "${", "}", "$(", "((", "))", "`", "'", "\"", "$'", "\\", "\n", "\r\n",
            ";", ";;", "&&", "||", "|", "&", "<", ">", "<<", "<(", "#", " ", "\t", "~", "{", ",", "..", "*", "!", "if ",
            "then ", "fi ", "case ", "in ", "esac ", "for ", "do ", "done ", "{ ", "[[ ", " ]]", "function ", "export ",
            "declare -a ", "DISKS", "=(", "vda:1:/a", "[1]=", "é", "\u{feff}", "<<E\n", "E\n", "f()",
        ]).prop_map(|token| token.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8_000) })]

    #[test]
    fn no_text_makes_it_panic(text in hostile()) {
        let source = Source::new("hostile", text);
        let (script, diagnostics) = parse(&source);
        let (variables, more) = Evaluator::new().run(&script);
        variables.to_declare_p();
        for diagnostic in diagnostics.iter().chain(&more) {
            let text = render(diagnostic, &source, false);
            prop_assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
        }
    }

    /// Tokens with much structure: what slips through must still be what bash gives.
    #[test]
    fn accepted_token_soup_is_what_bash_gives(text in hostile()) {
        let (lines, diagnostics) = ours(&text);
        let converted = diagnostics.iter().any(|it| it.is_error() || it.code == "W0501" || it.code == "W0502");
        if !converted && !lines.is_empty() && std::str::from_utf8(&text).is_ok_and(|text| text.is_ascii()) {
            let (theirs, complaints) = oracle::bash(&text, &lines);
            prop_assert_eq!(complaints, "");
            prop_assert_eq!(lines, theirs);
        }
    }
}
