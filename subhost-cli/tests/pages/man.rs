//! Manual pages: those of commands as `subhostctl man` prints them, that of the configuration from the settings.

use std::fmt::Write;
use std::process::Command;

use subhost_cli::commands::described;
use subhost_config::schema::SETTINGS;

/// The pages that are written by hand.
pub(crate) const BY_HAND: [&str; 2] = ["subhost.7", "subhost-init.8"];

/// File name and text of the page of each command.
pub(crate) fn commands() -> Vec<(String, String)> {
    let mut program = described();
    program.build();
    let mut pages = Vec::new();
    add(&program, &[], &mut pages);
    pages
}

fn add(command: &clap::Command, words: &[&str], pages: &mut Vec<(String, String)>) {
    let output = Command::new(env!("CARGO_BIN_EXE_subhostctl")).arg("man").args(words).output().unwrap();
    assert!(output.status.success(), "man {words:?}: {output:?}");
    let name = [&["subhostctl"], words].concat().join("-");
    pages.push((format!("{name}.8"), String::from_utf8(output.stdout).unwrap()));
    for below in command.get_subcommands().filter(|it| it.get_name() != "help" && !it.is_hide_set()) {
        add(below, &[words, &[below.get_name()]].concat(), pages);
    }
}

const HEAD: &str = r#".TH SUBHOST.CONFIG 5 2026-11-26 "subhost" "Subhosts"
.SH NAME
subhost.config \- the configuration of a subhost
.SH SYNOPSIS
.I /opt/sub/NAME/config
.br
.I /opt/subhost/NAME/config
.SH DESCRIPTION
The first is read by \fBsubhostctl boot\fR, the second by \fBsubhostctl start\fR.
Both are written in the syntax of \fBbash\fR(1), and are evaluated, never executed: what only computes gives what bash
gives, and what would have to run is refused.
\fBsubhostctl check\fR says all that is wrong with one.
.PP
A list may be one plain value.
Any setting but DISKS and BRIDGES may come from the environment as \fBSUBHOST_\fR\fINAME\fR, these two by their names.
An option is stronger than the environment, and that than the file.
.SH SETTINGS
"#;

const TAIL: &str = r"
.SH EXAMPLES
.nf
DISKS=( vda:1:/disks/web.raw )
BRIDGES=( br0:06:a7:dd:b4:02:f2 )
MEMORY=512M AUTOSTART=yes
.fi
.SH SEE ALSO
.BR subhost (7),
.BR subhostctl (8),
.BR subhostctl\-check (8),
.BR subhostctl\-config (8)
";

/// The page of the configuration.
pub(crate) fn settings() -> String {
    let mut page = HEAD.to_owned();
    for setting in SETTINGS {
        let summary = text(setting.summary);
        let _ = write!(
            page,
            ".TP\n\\fB{}\\fR=\\fI{}\\fR\n{summary}\n.br\nDefault: {}.\nExample: {}\n",
            setting.name,
            text(setting.kind).replace("\\fB", "").replace("\\fR", ""),
            text(setting.default),
            escaped(&format!("{}={}", setting.name, setting.example)),
        );
    }
    page + TAIL.trim_start()
}

/// Markdown as roff: what is in backquotes is bold.
fn text(markdown: &str) -> String {
    let mut roff = String::new();
    for (number, part) in markdown.split('`').enumerate() {
        let part = escaped(part);
        let _ = if number % 2 == 1 { write!(roff, "\\fB{part}\\fR") } else { write!(roff, "{part}") };
    }
    // A line that begins with a point or a quote would be a request.
    if roff.starts_with(['.', '\'']) { format!("\\&{roff}") } else { roff }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('…', "...")
        .replace('–', "\\(en")
        .replace('\'', "\\(aq")
}
