//! How the commands that read are asked and how they answer: patterns of names, `inspect`, terminals, colour, completion.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program;

use crate::{BRIDGE, MAC, boot, bridge};

const NEEDS: &[Need] = &[Need::Program, Need::Made(Fixture::TinyMbr)];

pub(crate) const CASES: &[Case] = &[
    Case { name: "a_pattern_stands_for_the_subhosts_that_match", needs: NEEDS, body: patterns },
    Case { name: "inspect_tells_of_those_that_run_and_those_that_do_not", needs: NEEDS, body: inspect },
    Case { name: "nothing_that_a_guest_says_acts_on_a_terminal", needs: NEEDS, body: safe },
    Case { name: "colour_is_for_terminals_and_can_be_refused", needs: &[Need::Program], body: colour },
    Case { name: "bash_completes_names_bridges_and_images", needs: NEEDS, body: completion },
];

/// A subhost with an image of its own and these lines in its configuration.
fn configured(host: &Host, short: &str, lines: &str) -> io::Result<String> {
    let (name, image) = (host.name(short), host.directory().join(short));
    fs::rename(host.copy_of(Fixture::TinyMbr)?, &image)?;
    host.config(&name, &format!("DISKS=( vda:1:{} )\n{lines}\n", image.display()))?;
    Ok(name)
}

fn json(host: &Host, words: &[&str]) -> Result<Value, Box<dyn std::error::Error>> {
    Ok(serde_json::from_str(&host.done(&[&["--json"], words].concat())?)?)
}

fn patterns(host: &Host) -> Verdict {
    let (one, two, other) =
        (configured(host, "web1", "")?, configured(host, "web2", "")?, configured(host, "db", "")?);
    for name in [&one, &other] {
        boot(host, name)?;
    }
    let names = |words: &[&str]| {
        let shown = json(host, words)?;
        let names = shown.as_array().into_iter().flatten().map(|row| row["name"].to_string());
        let names: Vec<String> = names.map(|name| name.trim_matches('"').to_owned()).collect();
        Ok::<_, Box<dyn std::error::Error>>(names)
    };
    let of = |names: &[&String]| names.iter().map(|name| (*name).clone()).collect::<Vec<_>>();
    assert_eq!(names(&["list", "web*"])?, of(&[&one, &two]));
    assert_eq!(names(&["list", "web[!1]*"])?, of(&[&two]));
    assert_eq!(names(&["list", &two, "*"])?, of(&[&two, &other, &one]));
    assert_eq!(names(&["status", "d?*"])?, of(&[&other]));
    assert_eq!(names(&["status", &one, &other])?, of(&[&one, &other]));
    assert_eq!(json(host, &["status", &one])?["name"], *one);
    assert_eq!(host.done(&["status", "web*"])?.matches("state").count(), 2);
    for command in ["list", "status", "stop", "kill", "wait"] {
        let outcome = host.subhostctl(&[command, "nobody*"])?;
        assert_eq!(outcome.code, 2, "{command}: {outcome}");
        assert!(outcome.stderr.contains("nobody*: no "), "{command}: {outcome}");
    }
    assert_eq!(host.subhostctl(&["list", "nobody"])?.code, 2);
    // Only of those that run, so that the second is not told to be down.
    assert_eq!(host.subhostctl(&["wait", "--timeout", "0", "web*"])?.code, 1);
    let stopped = host.subhostctl(&["stop", "web*"])?;
    assert!(stopped.code == 0 && stopped.stderr.contains(&one), "{stopped}");
    assert!(!stopped.stderr.contains(&two), "{stopped}");
    assert_eq!(host.running(&other)?.state(), "running");
    assert_eq!(host.subhostctl(&["stop", "web*"])?.code, 2);
    host.done(&["kill", "d*"])?;
    assert!(host.guest(&other)?.is_some_and(|guest| guest.state() == "stopped"));
    Ok(())
}

fn inspect(host: &Host) -> Verdict {
    bridge(host)?;
    let lines = format!("BRIDGES=( {BRIDGE}:{MAC} )\nISOLATED=yes");
    let name = configured(host, "tiny", &lines)?;
    let look = || json(host, &["inspect", &name]);

    let guest = boot(host, &name)?;
    let running = look()?;
    assert_eq!((&running["state"], &running["init_pid"]), (&"running".into(), &guest.init_pid().into()));
    let inode = host.witness("stat", &["-L", "-c", "%i", &format!("/run/netns/{name}")])?;
    let observed = &running["observed"];
    assert_eq!(observed["netns"].to_string(), inode.trim_end());
    assert_eq!(running["record"]["netns_inode"], observed["netns"]);
    let processes = observed["processes"].as_array().ok_or("no processes")?;
    assert!(processes.contains(&guest.init_pid().into()), "{observed}");
    let cable = &observed["cables"][0];
    let port = &cable["host_end"]["port"];
    assert_eq!((&port["isolated"], &port["locked"]), (&true.into(), &true.into()), "{cable}");
    let inside: Value =
        serde_json::from_str(&host.witness("ip", &["-n", &name, "-j", "link", "show", "eth0"])?)?;
    assert_eq!(cable["guest_ifindex"], inside[0]["ifindex"]);
    let links = observed["guest_links"].as_array().ok_or("no links")?;
    assert!(links.iter().any(|link| link["name"] == "eth0" && link["mac"] == MAC), "{observed}");
    assert_eq!(observed["disks"][0]["image_present"], true);
    let settings = running["configuration"]["settings"].as_array().ok_or("no settings")?;
    let isolated = settings.iter().find(|setting| setting["name"] == "ISOLATED").ok_or("no ISOLATED")?;
    assert_eq!((&isolated["value"], &isolated["from"]["line"]), (&"yes".into(), &3.into()));
    assert!(running["plan"]["notes"].to_string().contains("is running"), "{}", running["plan"]["notes"]);
    // It does not end with what is gone, and believes no other in its place.
    host.witness("ip", &["link", "del", &format!("{name}0")])?;
    host.witness("umount", &[&format!("/run/netns/{name}")])?;
    let observed = &look()?["observed"];
    assert_eq!((&observed["cables"][0]["host_end"], &observed["netns"]), (&Value::Null, &Value::Null));
    assert_eq!(observed["guest_links"], Value::Null);

    guest.supervisor()?.signal(Signal::KILL)?;
    assert!(guest.supervisor()?.ends(Duration::from_secs(10))?);
    guest.signal_init(Signal::KILL)?;
    assert!(guest.ends(Duration::from_secs(10))?);
    let ended = look()?;
    assert_eq!((&ended["state"], &ended["init_pid"]), (&"ended".into(), &Value::Null));
    assert_eq!(
        (&ended["record"]["name"], &ended["observed"]["processes"]),
        (&(*name).into(), &Value::from([0; 0]))
    );
    host.done(&["stop", &name])?;
    let stopped = look()?;
    assert_eq!((&stopped["state"], &stopped["record"]), (&"stopped".into(), &Value::Null));
    assert_eq!(stopped["plan"]["cables"][0]["isolated"], true);
    assert_eq!(host.subhostctl(&["inspect", "nobody"])?.code, 2);
    Ok(())
}

/// What a terminal acts on, or takes for something else; the last three are in UTF-8.
const EVIL: &str = "\x1b[31m\x07\r\x7f\u{9b}2J\u{202e}\u{feff}";

fn is_safe(c: char) -> bool {
    c == '\n' || !(c.is_control() || EVIL.contains(c) && !c.is_ascii())
}

fn safe(host: &Host) -> Verdict {
    bridge(host)?;
    let name = configured(host, "tiny", &format!("BRIDGES=( {BRIDGE}:{MAC} )\nNESTING=yes"))?;
    boot(host, &name)?;
    // Its interface, a process, a host name, a mount with its source.
    let script = "evil=$1
        echo \"$evil\" >/proc/self/comm
        ip link set eth0 down && ip link set eth0 name \"$(printf '\\033[2J')\"
        mkdir \"/tmp/$evil\" && mount -t tmpfs \"$evil\" \"/tmp/$evil\" && cd \"/tmp/$evil\" || exit 1
        echo ready; read end";
    let mut guest = host.command(&["enter", &name, "--", "sh", "-c", script, "sh", EVIL]);
    let mut guest = guest.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    let mut out = BufReader::new(guest.stdout.take().ok_or("no output")?);
    out.read_line(&mut line)?;
    assert_eq!(line, "ready\n");
    let image = host.directory().join("tiny").display().to_string();
    let commands: &[&[&str]] = &[
        &["list"],
        &["status", &name],
        &["inspect", &name],
        &["mounts"],
        &["mounts", &image],
        &["doctor"],
        &["plan", &name],
        &["partitions", &image],
        &["config", "show", &name],
    ];
    let mut shown = String::new();
    for words in commands {
        for option in ["--quiet", "--json", "--color=always"] {
            let outcome = host.subhostctl(&[&[option], *words].concat())?;
            let mut text = outcome.stdout + &outcome.stderr;
            if option == "--color=always" {
                for style in ["0", "1", "31", "32", "33"] {
                    text = text.replace(&format!("\x1b[{style}m"), "");
                }
            }
            assert_eq!(text.chars().find(|c| !is_safe(*c)), None, "{option} {words:?}: {text:?}");
            shown += &text;
        }
    }
    // They were there, but for what makes them act.
    for left in ["\u{fffd}[31m\u{fffd}", r"\u001b[31m\u0007\r\u007f\u009b2J\u202e\ufeff", r"\u001b[2J"] {
        assert!(shown.contains(left), "{left}");
    }
    drop(guest.stdin.take());
    guest.wait()?;
    host.done(&["stop", &name])?;
    Ok(())
}

fn colour(host: &Host) -> Verdict {
    host.config("web", "")?;
    let program = program::path()?;
    let command = format!("{} --root-dir {}", program.display(), host.root_dir().display());
    let on_terminal = |line: &str| host.witness("script", &["-qec", line, "/dev/null"]);
    let lines: &[(&str, bool)] = &[
        ("TERM=xterm COMMAND list", true),
        ("TERM=xterm NO_COLOR= COMMAND list", true),
        ("TERM=xterm NO_COLOR=1 COMMAND list", false),
        ("TERM=dumb COMMAND list", false),
        ("TERM=xterm COMMAND --color never list", false),
        ("TERM=xterm COMMAND list | cat", false),
        ("TERM=xterm NO_COLOR=1 COMMAND list --color always | cat", true),
        ("TERM=xterm COMMAND --json list", false),
        ("TERM=xterm COMMAND check web 2>/dev/null", true),
        ("TERM=xterm COMMAND check web --color never 2>/dev/null", false),
    ];
    host.config("web", "DISKS=(\n")?;
    for (line, coloured) in lines {
        let line = format!("env -u NO_COLOR {}; true", line.replace("COMMAND", &command));
        assert_eq!(on_terminal(&line)?.contains("\x1b["), *coloured, "{line}");
    }
    Ok(())
}

fn completion(host: &Host) -> Verdict {
    bridge(host)?;
    let (running, stopped) = (configured(host, "web1", "")?, configured(host, "web2", "")?);
    boot(host, &running)?;
    let image = host.directory().join("web1").display().to_string();
    let root = host.root_dir().display().to_string();
    let script = r#"
        eval "$(subhostctl completions bash)"
        registered=$(complete -p subhostctl) && [[ $registered =~ -F\ ([^ ]+) ]] || exit 1
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_TYPE=9
        COMP_POINT=${#COMP_LINE}
        "${BASH_REMATCH[1]}" subhostctl "${@: -1}" "${@: -2:1}" && printf '%s\n' "${COMPREPLY[@]}""#;
    let directory = program::path()?.parent().ok_or("no directory")?.display().to_string();
    let offered = |words: &[&str]| {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", script, "bash", "subhostctl", "--root-dir", &root]).args(words);
        bash.env("PATH", format!("{directory}:{}", std::env::var("PATH").unwrap_or_default()));
        let outcome = program::run(bash, Duration::from_secs(20))?;
        assert_eq!((outcome.code, &*outcome.stderr), (0, ""), "{words:?}: {outcome}");
        Ok::<_, Box<dyn std::error::Error>>(outcome.stdout.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let both = [&*running, &*stopped];
    assert_eq!(offered(&["stat"])?, ["status"]);
    assert_eq!(offered(&["status", "web"])?, both);
    assert_eq!(offered(&["boot", "web"])?, both);
    assert_eq!(offered(&["status", &running, "web2"])?, [&*stopped]);
    assert_eq!(offered(&["stop", "web"])?, [&*running]);
    assert_eq!(offered(&["exec", "w"])?, [&*running]);
    assert_eq!(offered(&["status", "nobody"])?, [""]);
    assert_eq!(offered(&["boot", "web", "--cable", "b"])?, [format!("{BRIDGE}=")]);
    assert_eq!(offered(&["partitions", &image[..image.len() - 1]])?[0], image);
    assert_eq!(offered(&["boot", "x", "--disk", &format!("vda:1:{image}")])?, [format!("vda:1:{image}")]);
    assert_eq!(offered(&["cp", "web2"])?, [format!("{stopped}:")]);
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(host.done(&["completions", shell])?.contains("SUBHOSTCTL_COMPLETE"), "{shell}");
    }
    host.done(&["stop", &running])?;
    Ok(())
}
