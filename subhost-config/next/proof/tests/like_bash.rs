//! Scripts that are accepted, each compared with real bash.

mod oracle;

use oracle::{bash, ours};

const SCRIPTS: &[&str] = &[
    // Nothing
    "",
    "\n \t\n# only a comment",
    "# a comment \\\nA=1",
    "\\\n# a comment\nA=1",
    // Scalars and quoting
    "A=x",
    "A=",
    "A=\"\"\nB=''",
    "A='a $b `c` \\ \"d\"'",
    "A=\"a'b \\$c \\\\ \\\" \\` \\x\"",
    "A='it'\\''s'",
    "A='a'\"b\"c$'d'$\"e\"\\f",
    "A=a\\ b\\\tc\\;\\&\\(\\)",
    "A='two\nlines' B=\"two\nlines\"",
    "A=$'tab\\t nl\\n bell\\a esc\\e oct\\101 hex\\x41\\x{42} u\\u20ac U\\U1F600 ctl\\cA q\\'\\\" unknown\\q'",
    "A=$'a\\0b'c",
    "A=$'\\x' B=$'\\u' C=$'\\8' D=$'\\c?\\c\\\\a' E=$'\\400'",
    "A=$\"no catalogue \\t\"",
    "A=$ B=a$ C=\"$\" D=\"a$ b\" E=$% F=\"$'a'\"",
    "A=\"$\"\"x\" B=\"\\!\"",
    "A=\"a\\\nb\" B=a\\\nb C='a\\\nb'",
    "A=x \\\n  B=y \\\n\n C=z",
    "A=x\\",
    "A\\\nB=x C\\\n=y D=\\\nz",
    // What looks special and is not, behind `=`
    "A=a#b B=#c # d",
    "A=* B=? C=[a-z] D={a,b} E={1..3}",
    "A=a=b B==c C=+=d D=a+=b",
    "A=! B=@ C=% D=^ E=, F=- G=+ H=: I=/ J=]",
    "A=a~ B=a/~ C=\\~ D='~' E=\"~\" F=''~",
    "A=if B=then C=fi D={ E=} F=[[ G=function",
    "A=x\x0bB=y C=\u{a0}D E=é F='日本'",
    // Statements
    "A=1 B=2\tC=3",
    "A=1;B=2 ; C=3;# c\nD=4",
    "A=1;#c",
    "  \t A=1  ",
    "A=1\n\n\nB=2",
    "A=1 A=2",
    "_a=1 a1=2 aB_9=3",
    // References
    "A=1 B=$A C=${A}x D=\"$A${A}\" E='$A'",
    "A='x  y' B=$A C=$A$A D=\"$A\"",
    "A=$B C=\"${B}x\"",
    "A=(x y) B=$A C=\"${A}\"",
    "A=([1]=y) B=$A",
    "A=x B=\"$A[1]\" C=$A[1] D=$A-b E=$A.c F=${A}_g G=$A_g",
    "A=$\\\nB C=\"$\\\nA\" D=\"${\\\nA}\"",
    "A=1; A=$A$A; A=$A$A",
    // Arrays
    "A=()",
    "A=( )\nB=(\n)",
    "A=(a b c)",
    "A=(a 'b c' \"d e\" f\\ g $'h\\ni')",
    "A=(\"\" a '' $'' \"\"\"\")",
    "A=(\n  one # first\n  # none\n  two#three\n  'four' ) B=5",
    "A=(#c\na)",
    "A=(a\\\nb \\\n c\\\n)",
    "A=(a)\tB=(b);C=(c)\nD=(d) # c",
    "A=(if then fi { } ! a=b -n + % @ ^ ,)",
    "A=({} {a} {a a} a,b {a,b a,b} } \\{a,b\\} '{a,b}' {a\\,b} ..)",
    "A=(a~ \\~ '~' a/~)",
    "A=('*' \\* \"?\" \\[a\\])",
    "A=([2]=x y [0]=z)",
    "A=([1]= a [5]='b c'd)",
    "A=([0]=a [0]=b [0]+=c)",
    "A=([3]+=x)",
    "A=([010]=x [0x10]=y [ 3 ]=z)",
    "A=([0]=x=y [1]==z [2]=+=)",
    "A=(a b [-1]=c [-2]=d e)",
    "A=('[0]=x' \\[0]=y)",
    "A=([9223372036854775807]=x)",
    // Element and compound assignments
    "A[3]=x",
    "A[0]=a A[1]=b A[1]+=c",
    "A=(a b c) A[-1]=z A[-3]=y",
    "A=s A[2]=x",
    "A=s A[-1]=x",
    "A=(a b) A=z",
    "A=(a b) A+=z",
    "A=([1]=b) A+=z",
    "A=s A+=t A+=''",
    "A+=x B+=(y)",
    "A=s A+=(x y)",
    "A=s A+=()",
    "A=s A=(x)",
    "A=(a b) A+=(c [7]=d e [1]=f g)",
    "A=(a b) A+=([0]+=c d)",
    "A=([5]=x) A+=(y)",
    "A=(a b) A+=([-1]=z)",
    "A=(1 2) A=(\"$A\" 3)",
    // Splitting
    "B='a b  c' A=($B x$B\"$B\"y)",
    "B=' a ' A=(x$B $B$B \"\"$B $B'')",
    "B='' A=($B \"$B\" x$B \"$B\"$B)",
    "B=$' \\t\\n' A=(x${B}y $B)",
    "B='x y' A=([1]=$B z)",
    "B=(p q) A=($B \"$B\")",
    // Declarations
    "export A=x B=y",
    "declare A=x\ntypeset B=y\nreadonly C=z",
    "A=1; export A; A=2",
    "A=1; readonly A; readonly A; export A",
    "declare -a A=(a b) B=x",
    "A=s; declare -a A; declare -a A+=x",
    "declare -ax A=(a) ; declare -x -r B=1 ; declare -rx C=2",
    "export A=(a b)\nreadonly -a B=(c)",
    "A=(a b); declare A=z; export A+=y",
    "A=s; declare A+=(x)",
    "declare A=* B=a[b] C='x y' D=\\{a,b\\} # c",
    "A='x y'; export B=$A C=\"$A\"",
    "export A=\\\n1 \\\n B=2;C=3",
    "declare -g A=1",
    // Names that bash has
    "HOSTNAME=web1 TERM=x; A=$HOSTNAME; HOSTNAME+=.lan",
    "HOSTNAME=(a b)\nTERM=t",
    "LANG=de_DE.UTF-8 LANGUAGE=de LC_CTYPE=C A=é",
    // A typical configuration
    "# web server\nDISKS=(\n  vda:1:/disks/disk1.raw   # root\n  \"vdb:1:/disks/disk 2.raw\"\n)\n\
     BRIDGES=( homenet:06:a7:dd:b4:02:f2 \":06:a7:dd:b4:02:f3\" )\nDISKS+=(vdc::/disks/c.raw)\nHOSTNAME=web1\n",
];

#[test]
fn gives_what_bash_gives() {
    assert!(SCRIPTS.len() >= 100, "{}", SCRIPTS.len());
    for script in SCRIPTS {
        assert_like_bash(script.as_bytes());
    }
}

#[test]
fn keeps_bytes_that_are_no_utf8() {
    for script in [
        &b"A=\xff\xfe B=(\xff '\xc3') C=\"\xc3\xa9\xc3\""[..],
        b"A=$'\\xff\\351' B=\"\x80\"",
        b"A=a\x01b B='\x7f\x01' C=\"\x7f\" D=$'\\x01\\x7f'",
        b"A=\x02\x03\x1b",
    ] {
        assert_like_bash(script);
    }
}

#[test]
fn reads_cr_lf_and_byte_order_mark_as_if_they_were_not_there() {
    let plain = b"A='x\ny' B=(a # c\n b\\\nc)\nC=\"q\\\nr\"\n";
    let mut windows = b"\xef\xbb\xbf".to_vec();
    for &byte in plain {
        if byte == b'\n' {
            windows.push(b'\r');
        }
        windows.push(byte);
    }
    assert_like_bash(plain);
    let (lines, diagnostics) = ours(&windows);
    assert_eq!(lines, bash(plain, &lines).0);
    let codes: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes, ["W0502", "W0501"]);
}

#[test]
fn keeps_a_lone_carriage_return_as_bash_does() {
    assert_like_bash(b"A=x\rB=y\r");
}

#[test]
fn ten_thousand_appends_take_no_time() {
    let script = "A+=(x)\nB+=y\n".repeat(10_000);
    let (lines, diagnostics) = ours(script.as_bytes());
    assert_eq!(diagnostics, []);
    assert!(lines.contains("[9999]=\"x\""));
    assert_eq!(lines.lines().last().map(str::len), Some("declare -- B=\"\"".len() + 10_000));
}

/// Asserts that a script is accepted, and gives exactly what bash gives.
#[track_caller]
fn assert_like_bash(script: &[u8]) {
    let (lines, diagnostics) = ours(script);
    let shown = script.escape_ascii();
    let errors: Vec<_> = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
    assert!(errors.is_empty(), "refused: {shown}\n{errors:#?}");
    let (theirs, complaints) = bash(script, &lines);
    assert_eq!(complaints, "", "bash complains: {shown}");
    assert_eq!(lines, theirs, "{shown}");
}
