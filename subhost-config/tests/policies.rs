//! Includes, file tests, patterns and facts of the machine under the policies, held against bash in the same directory.

mod oracle;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use oracle::bash_one;
use subhost_config::{
    Diagnostic, Evaluator, FilePolicy, Host, IncludePolicy, Source, Variables, code, parse,
};

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory is made");
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| fs::write(path(name), text).expect("a file is written");
        fs::create_dir_all(path("conf.d/sub")).expect("a directory is made");
        fs::create_dir(path("empty")).expect("a directory is made");
        for name in ["10-a.conf", "20 b.conf", "Z.conf", "é.conf", ".hidden.conf", "x[1].conf", "readme"] {
            write(&format!("conf.d/{name}"), "");
        }
        write("conf.d/sub/c.conf", "");
        write("text", "one\ntwo  three\n\n");
        write("script", "#!/bin/sh\n");
        fs::set_permissions(path("script"), fs::Permissions::from_mode(0o755)).expect("the mode is set");
        symlink("text", path("link")).expect("a link is made");
        symlink("nowhere", path("broken")).expect("a link is made");
        fs::create_dir(path("away")).expect("a directory is made");
        symlink("/etc/passwd", path("away/out")).expect("a link is made");
        write("a.inc", "A=1\nf() { B=$1; }\n");
        write(
            "b.inc",
            ". DIR/a.inc\nC=$A\nf \"from b\"\nreturn\nD=never\n".replace("DIR", &text(&directory)).as_str(),
        );
        write("bad.inc", "E=1\nE=$(touch canary)\nF=(1\n");
        write("loop.inc", ". DIR/loop.inc\n".replace("DIR", &text(&directory)).as_str());
        write("writable.inc", "A=1\n");
        fs::set_permissions(path("writable.inc"), fs::Permissions::from_mode(0o666))
            .expect("the mode is set");
        Self(directory)
    }

    fn script(&self, script: &str) -> String {
        script.replace("DIR", &text(&self.0))
    }

    fn evaluate(&self, script: &str) -> (Variables, Vec<Diagnostic>) {
        let (script, mut diagnostics) = parse(&Source::new("script", self.script(script)));
        let directories = || [self.0.path().to_path_buf()];
        let owner = rustix::process::geteuid().as_raw();
        let (variables, more) = Evaluator::new()
            .includes(IncludePolicy::directories(directories()).owned_by(owner))
            .files(FilePolicy::directories(directories()))
            .run(&script);
        diagnostics.extend(more);
        (variables, diagnostics)
    }
}

fn text(directory: &tempfile::TempDir) -> String {
    directory.path().to_str().expect("a path of letters").to_owned()
}

fn codes(diagnostics: &[Diagnostic]) -> Vec<&'static str> {
    diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn what_is_allowed_gives_what_bash_gives() {
    let directory = Directory::new();
    for script in [
        "A=(DIR/conf.d/*)",
        "A=(DIR/conf.d/*.conf)",
        "A=(DIR/conf.d/[0-9]*.conf DIR/conf.d/?.conf)",
        "A=(DIR/*/*.conf)",
        "A=(DIR/*/)",
        "A=(DIR/conf.d/*/*)",
        "A=(DIR/conf.d/.*.conf)",
        "A=(DIR/conf.d/'x[1]'* DIR/conf.d/\"x[\"*)",
        "A=(DIR/nothing/* DIR/empty/*)",
        "shopt -s nullglob\nA=(DIR/nothing/* DIR/empty/* DIR/t*)",
        "shopt -s extglob\nA=(DIR/conf.d/@(Z|10-a).conf DIR/conf.d/!(*.conf))",
        "for f in DIR/conf.d/*.conf; do A+=(\"${f##*/}\"); done",
        "D=DIR; A=($D/conf.d/*.conf)",
        "A=DIR/conf.d/*",
        "A=({DIR,DIR}/t*)",
        "for f in text link broken conf.d script none; do for o in e f d h L r x s p S b c; do\n\
         [ -$o DIR/$f ] && A+=(\"$o $f\"); done; done",
        "[[ -e DIR/text && ! -d DIR/text && -x DIR/script ]] && A=1",
        "for f in text/ link/ conf.d/ broken/; do for o in e f d L; do [ -$o DIR/$f ] && A+=(\"$o $f\"); done; done",
        "[ -f DIR/none ] || A=1; [ -e '' ] || B=2",
        "A=$(cat DIR/text) B=$(<DIR/text) C=\"$(< DIR/link )\"",
        ". DIR/a.inc\nf 'x y'",
        "source DIR/b.inc\nA+=2",
        "[ -r DIR/a.inc ] && . DIR/a.inc",
        "for f in DIR/[ab].inc; do . \"$f\"; done",
        "g() { . DIR/a.inc; local A=3; f \"$A\"; }; g",
    ] {
        let (variables, diagnostics) = directory.evaluate(script);
        assert_eq!(codes(&diagnostics), [] as [&str; 0], "{script}: {diagnostics:?}");
        let ours = String::from_utf8(variables.to_declare_p()).expect("text");
        let theirs = bash_one(directory.script(script).as_bytes());
        assert_eq!(theirs.difference(&ours), None, "{script}");
    }
}

#[test]
fn what_is_not_allowed_is_refused() {
    let directory = Directory::new();
    for (script, expected) in [
        ("A=(*.conf)", code::FILE_PATTERN),
        ("A=(/etc/*)", code::FILE_ACCESS),
        ("A=(DIR/../*)", code::FILE_ACCESS),
        ("[ -e /etc/passwd ] && A=1", code::FILE_ACCESS),
        ("[ -e DIR/../x ] && A=1", code::FILE_ACCESS),
        ("[ -e DIR/away/out ] && A=1", code::FILE_ACCESS),
        ("[ -e text ] && A=1", code::FILE_ACCESS),
        ("[ DIR/text -nt DIR/link ] && A=1", code::FILE_ACCESS),
        ("A=$(<DIR/away/out)", code::FILE_ACCESS),
        ("A=$(<DIR/conf.d)", code::FILE_ACCESS),
        ("A=$(cat DIR/none)", code::FILE_ACCESS),
        (". a.inc", code::INCLUDE),
        (". /etc/profile", code::INCLUDE),
        (". DIR/../x.inc", code::INCLUDE),
        (". DIR/none.inc", code::INCLUDE),
        (". DIR/conf.d", code::INCLUDE),
        (". DIR/writable.inc", code::INCLUDE),
        (". DIR/loop.inc", code::RECURSION),
        (". DIR/a.inc DIR/b.inc", code::INCLUDE),
    ] {
        let (variables, diagnostics) = directory.evaluate(script);
        assert_eq!(codes(&diagnostics), [expected], "{script}: {diagnostics:?}");
        assert!(variables.is_empty(), "{script}: {}", String::from_utf8_lossy(&variables.to_declare_p()));
    }
}

#[test]
fn what_is_wrong_in_an_include_has_its_place_there() {
    let directory = Directory::new();
    let (variables, diagnostics) = directory.evaluate("A=1\n. DIR/bad.inc\nB=$(id)\n");
    let places: Vec<(String, usize, &str)> = diagnostics
        .iter()
        .map(|diagnostic| {
            let span = diagnostic.span.expect("a place");
            let source = variables.sources().of(span);
            let file = Path::new(source.name()).file_name().expect("a name").to_string_lossy().into_owned();
            (file, source.location(span.start()).line, diagnostic.code)
        })
        .collect();
    let expected = [
        ("script".to_owned(), 3, code::COMMAND_SUBSTITUTION),
        ("bad.inc".to_owned(), 2, code::COMMAND_SUBSTITUTION),
        ("bad.inc".to_owned(), 3, code::UNCLOSED_ARRAY),
    ];
    assert_eq!(places, expected);
    assert!(!directory.0.path().join("canary").exists());
}

#[test]
fn facts_of_the_machine_come_from_the_host_alone() {
    let script = "A=$(hostname) B=$(uname -m) C=$(uname -n) D=$(uname -r) E=$(nproc)";
    let (parsed, diagnostics) = parse(&Source::new("script", script));
    assert_eq!(codes(&diagnostics), [] as [&str; 0]);
    let (variables, refused) = Evaluator::new().run(&parsed);
    assert_eq!(codes(&refused), [code::HOST_FACT; 5]);
    assert!(variables.is_empty());

    let (variables, diagnostics) = Evaluator::new().host(Host::this()).run(&parsed);
    assert_eq!(codes(&diagnostics), [] as [&str; 0]);
    let ours = String::from_utf8(variables.to_declare_p()).expect("text");
    assert_eq!(bash_one(script.as_bytes()).difference(&ours), None);
}
