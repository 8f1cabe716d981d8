//! `check` and `config` of the built program, on files of their own. Nothing here needs root.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with `web/config` in it.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new(config: &[u8]) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.directory.path().join("web")).unwrap();
        std::fs::write(place.config(), config).unwrap();
        place
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("web/config")
    }

    fn run(&self, args: &[&str]) -> Told {
        self.run_with(args, &[])
    }

    /// Runs the program with nothing in its environment but these.
    fn run_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Told {
        let mut command = Command::new(env!("CARGO_BIN_EXE_subhostctl"));
        command.env_clear().envs(environment.iter().copied()).arg("--root-dir").arg(self.directory.path());
        Told::of(command.args(args).output().unwrap())
    }

    fn eval(&self, more: &[&str]) -> Told {
        let path = self.config();
        self.run(&[&["config", "eval", path.to_str().unwrap()], more].concat())
    }
}

struct Told {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Told {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// What bash itself prints for these variables of a file.
fn bash_declares(file: &Path, names: &[&str]) -> String {
    let mut bash = Command::new("bash");
    bash.env_clear().env("LC_ALL", "C.UTF-8").args([
        "--norc",
        "--noprofile",
        "-c",
        ". \"$0\" && declare -p \"$@\"",
    ]);
    let told = Told::of(bash.arg(file).args(names).output().unwrap());
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    told.stdout
}

#[test]
fn eval_prints_what_bash_prints() {
    let text = b"A='two words'\nB=( \"$A\" /srv/'c d' )\nB[7]=$'\\xff\\n'\nexport C=\nreadonly D=\"\\$x\"\n";
    let place = Place::new(text);
    let told = place.eval(&[]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), untrusted(&place, &told)));
    assert_eq!(told.stdout, bash_declares(&place.config(), &["A", "B", "C", "D"]));
}

/// The note that is there when the temporary directory may be written by others than root.
fn untrusted<'a>(place: &Place, told: &'a Told) -> &'a str {
    let note = format!("subhostctl: {}: is not trusted: ", place.config().display());
    if told.stderr.starts_with(&note) && told.stderr.lines().count() == 1 { &told.stderr } else { "" }
}

#[test]
fn eval_of_a_refused_file_prints_nothing_but_why() {
    let place = Place::new(b"A=1\nB=$(reboot)\nC=( *.raw )\n");
    let told = place.eval(&[]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(2), ""));
    let path = place.config().display().to_string();
    assert!(told.stderr.contains(&format!("{path}:2:3: error[E")), "{}", told.stderr);
    assert!(told.stderr.contains(&format!("{path}:3:5: error[E")), "{}", told.stderr);
    assert_eq!(place.run(&["check", &path]).code, Some(2), "as check gives");
    let json = place.eval(&["--json"]);
    assert_eq!(json.code, Some(2));
    assert_eq!(
        (&json.json()["ok"], &json.json()["variables"]),
        (&Value::from(false), &Value::Array(Vec::new()))
    );
}

#[test]
fn eval_gives_json_with_the_exact_line_beside_the_readable_value() {
    let place = Place::new(b"# \xff\nexport A=$'a\\xffb'\nB=( x [3]=y )\n");
    let told = place.eval(&["--json"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let variables = &told.json()["variables"];
    assert_eq!(variables[0]["name"], "A");
    assert_eq!(variables[0]["value"], "a\u{fffd}b");
    assert_eq!(variables[0]["declare"], r"declare -x A=$'a\377b'");
    assert_eq!(variables[0]["file"], Value::from(place.config().to_str()));
    assert_eq!((variables[0]["line"].as_u64(), variables[0]["column"].as_u64()), (Some(2), Some(8)));
    assert_eq!(variables[1]["value"], Value::from(vec!["x", "y"]));
    assert_eq!(variables[1]["declare"], r#"declare -a B=([0]="x" [3]="y")"#);
}

#[test]
fn quiet_leaves_the_errors() {
    let place = Place::new(b"A=$NOT_SET\n");
    assert!(place.eval(&[]).stderr.contains("warning[W0503]"));
    let told = place.eval(&["--quiet"]);
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("declare -- A=\"\"\n", ""));
    let place = Place::new(b"A=$NOT_SET\necho\n");
    let told = place.eval(&["--quiet"]);
    assert!(told.stderr.contains("error[E0201]") && !told.stderr.contains("warning"), "{}", told.stderr);
}

#[test]
fn a_file_that_is_not_there_is_refused_by_name() {
    let place = Place::new(b"");
    let told = place.run(&["config", "eval", "/nowhere/config"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(2), ""));
    assert!(
        told.stderr.starts_with("subhostctl: error: configuration /nowhere/config: open "),
        "{}",
        told.stderr
    );
}

/// The row of a setting: where from, effect and value.
#[track_caller]
fn row(told: &Told, name: &str) -> Vec<String> {
    let header = told.stdout.lines().next().unwrap();
    let columns: Vec<usize> = ["FROM", "VALUE"].map(|it| header.find(it).unwrap()).to_vec();
    let mut rows = told.stdout.lines().filter(|line| line.split(' ').next() == Some(name));
    let row = rows.next().unwrap_or_else(|| panic!("no {name} in {}", told.stdout));
    let part = |from: usize, to: usize| row[from..to].trim().to_owned();
    vec![part(columns[0], columns[1]), part(columns[1], row.len())]
}

const CONFIG: &[u8] =
    b"DISKS=( vda:1:/disks/a.raw\n  'vdb::/disks/b c.raw' )\nBRIDGES=br0:\n  RUNLEVEL=3 START_DELAY=5s\n";

#[test]
fn show_tells_where_each_value_came_from() {
    let place = Place::new(CONFIG);
    let environment = [("SUBHOST_STOP_TIMEOUT", "1m"), ("BRIDGES", "br1:")];
    let told = place.run_with(&["config", "show", "web", "--init", "auto"], &environment);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let file = place.config().display().to_string();
    let at = |place: &str| format!("{file}:{place}");
    for (name, expected) in [
        ("DISKS", [at("1:1").as_str(), "( vda:1:/disks/a.raw 'vdb:0:/disks/b c.raw' )"]),
        ("BRIDGES", ["environment BRIDGES", "( br1: )"]),
        ("INIT", ["flag --init", "auto"]),
        ("RUNLEVEL", [at("4:3").as_str(), "3"]),
        ("STOP_TIMEOUT", ["environment SUBHOST_STOP_TIMEOUT", "1m"]),
        ("HOSTNAME", ["default", "(the subhost's name)"]),
        ("POWEROFF", ["default", "graceful"]),
        ("START_DELAY", [at("4:14").as_str(), "5s"]),
        ("TMPFS_SIZE", ["default", "(none)"]),
    ] {
        assert_eq!(row(&told, name), expected, "{name}");
    }
    let flags = ["config", "show", "web", "--disk", "vdc:1:/d.raw", "--cable", "="];
    let told = place.run_with(&flags, &environment);
    assert_eq!(row(&told, "DISKS"), ["flag --disk", "( vdc:1:/d.raw )"]);
    assert_eq!(row(&told, "BRIDGES"), ["flag --cable", "( : )"]);
}

#[test]
fn show_has_all_settings_as_json() {
    let place = Place::new(CONFIG);
    let told =
        place.run_with(&["config", "show", "--json", "web", "--init", "auto"], &[("SUBHOST_RUNLEVEL", "5")]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let shown = told.json();
    let settings = shown["settings"].as_array().unwrap();
    assert_eq!(settings.len(), subhost_config::schema::SETTINGS.len());
    let setting = |name: &str| settings.iter().find(|setting| setting["name"] == name).unwrap().clone();
    let disks = setting("DISKS");
    assert_eq!(disks["value"], Value::from(vec!["vda:1:/disks/a.raw", "vdb:0:/disks/b c.raw"]));
    assert_eq!(disks["bash"], "DISKS=( vda:1:/disks/a.raw 'vdb:0:/disks/b c.raw' )");
    let file = place.config();
    assert_eq!(
        disks["from"],
        json!({"origin": "file", "name": null, "file": file.to_str(), "line": 1, "column": 1})
    );
    let from = |origin: &str, name: &str| json!({"origin": origin, "name": name, "file": null, "line": null, "column": null});
    assert_eq!(setting("RUNLEVEL")["from"], from("environment", "SUBHOST_RUNLEVEL"));
    assert_eq!(setting("INIT")["from"], from("flag", "--init"));
    assert_eq!((&setting("HOSTNAME")["value"], &setting("HOSTNAME")["bash"]), (&Value::Null, &Value::Null));
    assert_eq!(setting("START_DELAY")["value"], "5s");
    assert_eq!(shown["diagnostics"], json!([]));
}

#[test]
fn show_of_a_wrong_configuration_says_why_and_returns_2() {
    let place = Place::new(b"DISKS=( vda:1:a.raw )\nTMPFS_SIZE=1\n");
    let told = place.run(&["config", "show", "web"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(2), ""));
    let file = place.config().display().to_string();
    assert!(told.stderr.contains(&format!("{file}:1:9: error[E1001]: DISKS: `a.raw` is a relative path")));
    assert!(told.stderr.contains(&format!("{file}:2:1: error[E1005]: TMPFS_SIZE")), "{}", told.stderr);
    let json = place.run(&["config", "show", "--json", "web"]);
    assert_eq!(json.code, Some(2));
    assert_eq!(
        (json.json()["ok"].as_bool(), json.json()["settings"].as_array().map(Vec::len)),
        (Some(false), Some(0))
    );
    assert_eq!(place.run(&["config", "show", "web", "--init", "init"]).code, Some(2));
}

#[test]
fn check_gives_both_ends_of_each_place_as_json() {
    let place = Place::new("A='é'\nDISKS=( 'vda:1:a.raw' )\n".as_bytes());
    let told = place.run(&["check", "--json", "web"]);
    assert_eq!(told.code, Some(2), "{}", told.stderr);
    let diagnostic = told.json()["diagnostics"][0].clone();
    assert_eq!(diagnostic["severity"], "error");
    assert_eq!(diagnostic["code"], "E1001");
    assert_eq!(diagnostic["file"], Value::from(place.config().to_str().unwrap()));
    let numbers =
        ["line", "column", "end_line", "end_column", "start", "end"].map(|it| diagnostic[it].as_u64());
    assert_eq!(numbers, [2, 9, 2, 22, 15, 28].map(Some));
    assert_eq!(diagnostic["hint"], "write the image's full path, from `/` on");
}

/// What only root can allow, an include of a file of its own, is in the tests that need root.
#[test]
fn eval_includes_nothing_unless_it_is_told_where_from() {
    let place = Place::new(b"");
    let (inside, outside) =
        (place.directory.path().join("web/common"), place.directory.path().join("common"));
    for file in [&inside, &outside] {
        std::fs::write(file, "A=1\n").unwrap();
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o666)).unwrap();
    }
    let directory = place.config().parent().unwrap().display().to_string();
    let config = place.config().display().to_string();
    let with = ["--include-dir", directory.as_str()];
    for (named, options, message) in [
        (inside.display().to_string(), &[][..], "includes are not allowed here".to_owned()),
        (inside.display().to_string(), &with, format!("{} is not trusted: ", inside.display())),
        (outside.display().to_string(), &with, format!("{} is not below {directory}\n", outside.display())),
        (
            format!("{directory}/../common"),
            &with,
            format!("{directory}/../common is not below {directory}\n"),
        ),
        ("./common".to_owned(), &with, format!("./common is not below {directory}\n")),
        (format!("{directory}/none"), &with, format!("open {directory}/none: No such file")),
    ] {
        std::fs::write(place.config(), format!("A=2\n. {named}\n")).unwrap();
        let told = place.eval(options);
        assert_eq!((told.code, told.stdout.as_str()), (Some(2), ""), "{named}");
        let expected = format!("{config}:2:1: error[E0311]: {message}");
        assert!(told.stderr.contains(&expected), "no {expected:?} in {}", told.stderr);
        // Of a subhost's own configuration there is one directory, which nothing on the command line changes.
        let told = place.run(&["check", "web"]);
        assert_eq!(told.code, Some(2));
        let expected = format!("{config}:2:1: error[E0311]: {named} is not below /etc/subhost\n");
        assert!(told.stdout.contains(&expected), "no {expected:?} in {}", told.stdout);
    }
}

#[test]
fn directories_for_eval_may_be_relative() {
    let place = Place::new(b"");
    let directory = place.directory.path().canonicalize().unwrap();
    for (given, meant) in [
        (".", directory.join("web")),
        ("./../web/", directory.join("web")),
        ("..", directory.clone()),
        ("none", directory.join("web/none")),
    ] {
        std::fs::write(place.config(), ". /nowhere/common\n").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_subhostctl"));
        command.args(["config", "eval", "--include-dir", given, "config"]).current_dir(directory.join("web"));
        let told = Told::of(command.output().unwrap());
        let message = format!("/nowhere/common is not below {}", meant.display());
        assert!(told.stderr.contains(&message), "{given}: {}", told.stderr);
    }
    let told = place.eval(&["--include-dir", "../none/.."]);
    assert_eq!(told.code, Some(2));
    assert!(
        told.stderr.contains("--include-dir <DIR>") && told.stderr.contains("No such file"),
        "{}",
        told.stderr
    );
}

#[test]
fn eval_looks_at_files_where_it_is_told_to() {
    let place = Place::new(b"");
    let directory = place.directory.path().join("srv");
    std::fs::create_dir(&directory).unwrap();
    for name in ["b.conf", "a.conf", "c"] {
        std::fs::write(directory.join(name), format!("text of {name}\n")).unwrap();
    }
    let srv = directory.display();
    let text = format!("A=( {srv}/*.conf )\nB=$(<{srv}/c)\n[ -e {srv}/none ] || C=1\n");
    std::fs::write(place.config(), text).unwrap();
    let told = place.eval(&["--files", directory.to_str().unwrap()]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert_eq!(told.stdout, bash_declares(&place.config(), &["A", "B", "C"]));
    for told in [place.eval(&[]), place.eval(&["--files", "/nowhere"])] {
        assert_eq!((told.code, told.stdout.as_str()), (Some(2), ""));
        for line in ["1:5: error[E0", "2:5: error[E0312]", "3:"] {
            let expected = format!("{}:{line}", place.config().display());
            assert!(told.stderr.contains(&expected), "no {expected:?} in {}", told.stderr);
        }
    }
}

/// Facts of the machine are those that the commands give.
#[test]
fn eval_knows_the_machine() {
    let place = Place::new(b"A=$(uname -n)\nB=$(uname -m)\nC=$(uname -r)\n");
    let told = place.eval(&[]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert_eq!(told.stdout, bash_declares(&place.config(), &["A", "B", "C"]));
}

const MTA: &[u8] = b"# a mail server\nBASE= .\nCABLES= = lan0=.302\nSHARE= /srv/mail\nSHARE= /a:/b\n";

#[test]
fn overlay_boot_is_read_when_asked_for() {
    let place = Place::new(MTA);
    let path = place.config();
    let path = path.to_str().unwrap();
    let told = place.eval(&["--format", "overlay-boot"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert_eq!(
        told.stdout,
        "declare -- BASE=\".\"\ndeclare -- CABLES=\"= lan0=.302\"\n\
         declare -a SHARE=([0]=\"/srv/mail\" [1]=\"/a:/b\")\n"
    );
    for given in [path, "web"] {
        let told = place.run(&["check", "--format", "overlay-boot", given]);
        assert_eq!((told.code, told.stdout), (Some(0), format!("{path}: ok\n")), "{}", told.stderr);
    }
    for option in ["--include-dir", "--files"] {
        let told = place.eval(&["--format", "overlay-boot", option, "/srv"]);
        assert_eq!((told.code, told.stdout.as_str()), (Some(2), ""));
        assert!(told.stderr.contains("looks at no other file"), "{}", told.stderr);
    }
    // As bash it is another text, and nobody guesses.
    assert_eq!(place.eval(&[]).code, Some(2));
    assert_eq!(place.run(&["check", path]).code, Some(2));
}

#[test]
fn overlay_boot_s_commands_are_never_executed() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("executed");
    let place = Place::new(format!("BASE= .\nLOWER=!touch {}\n", mark.display()).as_bytes());
    let file = place.config().display().to_string();
    for command in [
        &["check", "--format", "overlay-boot", &file][..],
        &["config", "eval", "--format", "overlay-boot", &file],
    ] {
        let told = place.run(command);
        assert_eq!(told.code, Some(2));
        let text = told.stdout + &told.stderr;
        assert!(
            text.contains(&format!("{file}:2:7: error[E1201]: LOWER is a command, which is not executed")),
            "{text}"
        );
        assert!(text.contains("hint: write what the command prints instead"), "{text}");
    }
    assert!(!mark.exists());
    let json = place.run(&["check", "--json", "--format", "overlay-boot", &file]);
    assert_eq!((json.code, json.json()["diagnostics"][0]["code"].as_str()), (Some(2), Some("E1201")));
}

#[test]
fn help_has_examples_and_completions_know_the_commands() {
    let place = Place::new(b"");
    for command in [&["check"][..], &["config", "show"], &["config", "eval"]] {
        let told = place.run(&[command, &["--help"]].concat());
        assert!(told.stdout.contains("Examples:"), "{command:?}: {}", told.stdout);
        let longest = told.stdout.lines().map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|columns| columns <= 100), "{command:?}: {longest:?}");
    }
    // The script asks the program so.
    let cases: [(&[&str], &str); 3] = [
        (&["config", ""], "eval"),
        (&["check", "--format", ""], "overlay-boot"),
        (&["config", "eval", "--"], "--include-dir"),
    ];
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell]).stdout.contains("SUBHOSTCTL_COMPLETE"), "{shell}");
        for (words, word) in cases {
            let mut asked = Command::new(env!("CARGO_BIN_EXE_subhostctl"));
            asked.env("SUBHOSTCTL_COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", words.len().to_string());
            let offered = asked.args(["--", "subhostctl"]).args(words).output().unwrap();
            let offered = String::from_utf8_lossy(&offered.stdout).into_owned();
            assert!(offered.contains(word), "{shell} does not know {word}: {offered}");
        }
    }
}

#[test]
fn manual_pages_hold_what_help_says_line_by_line() {
    let place = Place::new(b"");
    let page = place.run(&["man", "config", "show"]);
    assert!(page.code == Some(0) && page.stdout.contains(".TH SUBHOSTCTL-CONFIG-SHOW 8 "), "{}", page.stdout);
    // What roff would take for its own is marked.
    let plain = page.stdout.replace("\\-", "-").replace("\\&", "").replace("\\*(Aq", "'");
    let help = place.run(&["config", "show", "--help"]).stdout;
    let examples: Vec<&str> = help.lines().skip_while(|line| *line != "Examples:").collect();
    assert!(examples.len() > 2, "{help}");
    for line in examples {
        assert!(plain.lines().any(|there| there == line), "{line:?} is missing:\n{plain}");
    }
    let whole = place.run(&["man"]).stdout;
    assert!(whole.contains("subhostctl\\-boot(8)"), "{whole}");
    let unknown = place.run(&["man", "config", "bread"]);
    assert!(
        unknown.code == Some(2) && unknown.stderr.contains("no command config bread"),
        "{}",
        unknown.stderr
    );
}
