//! `import`: what it makes of others' descriptions is right for `check`, and boots.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use subhost_tests::case::{Case, Need, Verdict};
use subhost_tests::fixture::Fixture;
use subhost_tests::host::Host;
use subhost_tests::program::{self, Running};

use crate::{BRIDGE, MAC, boot, bridge};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "an_imported_domain_boots_with_its_disk_and_its_cable",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: domain,
    },
    Case {
        name: "what_each_format_becomes_passes_check",
        needs: &[Need::Program, Need::Made(Fixture::TinyGpt), Need::Made(Fixture::TinyTree)],
        body: checked,
    },
    Case { name: "a_list_of_ganeti_becomes_the_one_that_is_asked_for", needs: &[Need::Program], body: table },
    Case {
        name: "an_instance_of_ganeti_boots_in_one_go_and_again",
        needs: &[Need::Program, Need::Made(Fixture::TinyMbr)],
        body: instance,
    },
    Case {
        name: "an_imported_directory_starts",
        needs: &[Need::Program, Need::Made(Fixture::TinyTree)],
        body: directory,
    },
    Case { name: "what_is_no_description_makes_no_file", needs: &[Need::Program], body: refused },
];

fn xml(image: &Path) -> String {
    format!(
        "<domain type='kvm'><name>imported</name><memory unit='MiB'>128</memory><vcpu>2</vcpu><devices>\
         <disk type='file' device='disk'><source file='{}'/><target dev='vda'/></disk>\
         <interface type='bridge'><source bridge='{BRIDGE}'/><mac address='{MAC}'/></interface>\
         <graphics type='vnc'/></devices></domain>",
        image.display()
    )
}

fn domain(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let (name, file) = (host.name("dom"), host.directory().join("domain.xml"));
    fs::write(&file, xml(&image))?;
    let import = ["import", "libvirt", &file.to_string_lossy(), "--into", &name];
    let outcome = host.subhostctl(&import)?;
    assert!(outcome.code == 0 && outcome.stderr.contains("graphics"), "{outcome}");
    // It is there now, and stays.
    let config = host.root_dir().join(&name).join("config");
    let before = fs::read(&config)?;
    let outcome = host.subhostctl(&import)?;
    assert!(outcome.code == 2 && outcome.stderr.contains("--force"), "{outcome}");
    host.done(&[&import[..], &["--force"]].concat())?;
    assert_eq!(fs::read(&config)?, before);
    assert_eq!(fs::read_dir(host.root_dir().join(&name))?.count(), 1);
    host.done(&["check", &name])?;
    boot(host, &name)?;
    assert_eq!(host.done(&["enter", &name, "--", "hostname"])?.trim(), "imported");
    let links = host.witness("ip", &["-n", &name, "link", "show", "eth0"])?;
    assert!(links.contains(MAC), "{links}");
    host.done(&["stop", &name])?;
    Ok(())
}

fn checked(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyGpt)?;
    let tree = host.copy_of(Fixture::TinyTree)?;
    let (image, tree) = (image.display().to_string(), tree.display().to_string());
    let machines = host.directory().join("machines");
    fs::create_dir(&machines)?;
    std::os::unix::fs::symlink(&image, machines.join("raw.raw"))?;
    let bundle = host.directory().join("bundle");
    fs::create_dir(&bundle)?;
    let file = |name: &str, text: String| {
        let path = host.directory().join(name);
        fs::write(&path, text).map(|()| path.to_string_lossy().into_owned())
    };
    let qemu = format!(
        "qemu-system-x86_64 -m 64 -drive file={image},if=virtio,format=raw -nic bridge,br={BRIDGE},mac={MAC}"
    );
    // A process that only looks like one.
    let mut process = Command::new("sh");
    process.arg0("qemu-system-x86_64").args([&file("stays", "kill -STOP $$\n".to_owned())?, "-m", "96"]);
    process.args(["-drive", &format!("file={image},if=virtio,format=raw")]);
    let process = Running::start(process)?;
    let ganeti = format!(
        "INSTANCE_NAME=gnt.lan\nDISK_COUNT=1\nDISK_0_PATH={image}\nNIC_COUNT=1\nNIC_0_MAC={MAC}\nNIC_0_LINK={BRIDGE}\n\
         NIC_0_MODE=bridged\n"
    );
    let info = format!(
        "- Instance name: inf.lan\n  Back-end parameters:\n    maxmem: 128\n  NICs:\n    - nic/0:\n      MAC: {MAC}\n      \
         mode: bridged\n      link: {BRIDGE}\n  Disks:\n    - disk/0: file, size 1G\n      on primary: {image} (N/A:N/A)\n"
    );
    let lxc = format!(
        "lxc.rootfs.path = dir:{tree}\nlxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\nlxc.net.0.hwaddr = {MAC}\n\
         lxc.net.0.ipv4.address = 10.80.3.7/16\nlxc.net.0.ipv4.gateway = 10.80.0.1\nlxc.start.auto = 1\n"
    );
    let oci = format!(
        r#"{{ "ociVersion": "1.0.2", "root": {{ "path": "{tree}" }}, "process": {{ "args": ["sh"] }} }}"#
    );
    fs::write(bundle.join("config.json"), oci)?;
    let overlay = format!("BASE= .\nLOWER= {tree}\nCABLES= {BRIDGE}={MAC}\n");
    let pid = process.pid().to_string();
    let rows: [(&str, &str, String, &str); 10] = [
        ("ganeti", "gnt", file("ganeti", ganeti)?, "vda:1:"),
        ("ganeti", "inf", file("info", info)?, "MEMORY=128M"),
        ("libvirt", "dom", file("libvirt", xml(Path::new(&image)))?, MAC),
        ("qemu", "line", qemu.clone(), "vda:1:"),
        ("qemu", "file", file("qemu", qemu.replace(" -", " \\\n -"))?, MAC),
        ("qemu", "process", pid, "MEMORY=96M"),
        ("nspawn", "raw", file("machines/raw.nspawn", format!("[Network]\nBridge={BRIDGE}\n"))?, "vda:1:"),
        ("lxc", "lxc", file("lxc", lxc)?, "GATEWAY="),
        ("oci", "oci", bundle.display().to_string(), "ROOT="),
        ("overlay-boot", "ob", file("overlay", overlay)?, "BASE="),
    ];
    for (format, short, source, word) in &rows {
        let name = host.name(short);
        let text = host.done(&["import", format, source])?;
        assert!(text.contains(word), "{format}: {text}");
        host.done(&["import", format, source, "--into", &name])?;
        let is_tree = host.subhost_dir().join(&name).join("config").is_file();
        let words = ["check", &name, "--start"];
        let outcome = host.subhostctl(&words[..if is_tree { 3 } else { 2 }])?;
        assert_eq!(
            (outcome.code, is_tree),
            (0, ["lxc", "oci", "overlay-boot"].contains(format)),
            "{format}: {outcome}"
        );
        // What bash reads is what `config show` shows, too.
        let shown: serde_json::Value =
            serde_json::from_str(&host.done(&["--json", "config", "show", &name])?)?;
        let config = if is_tree { host.subhost_dir() } else { host.root_dir() }.join(&name).join("config");
        for setting in shown["settings"].as_array().ok_or("no settings")? {
            if setting["from"]["origin"] != "file" {
                continue;
            }
            let setting_name = setting["name"].as_str().unwrap_or_default();
            let script = format!(". \"$0\"; printf '%s\\n' \"${{{setting_name}[@]}}\"");
            let bash = host.witness("bash", &["--norc", "-c", &script, &config.to_string_lossy()])?;
            let ours = match &setting["value"] {
                serde_json::Value::Array(words) => {
                    words.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join("\n")
                }
                word => word.as_str().unwrap_or_default().to_owned(),
            };
            // A setting may be written in several ways, and bash knows none of them.
            let plain = |text: &str| text.replace(":rw", "").replace("eth0=", "");
            assert_eq!(plain(bash.trim_end()), plain(&ours), "{format}: {setting_name}");
        }
    }
    Ok(())
}

/// What `gnt-instance list` prints: of several, and without their disks.
fn table(host: &Host) -> Verdict {
    let (name, file) = (host.name("list"), host.directory().join("list"));
    let lines = [
        "Instance Hypervisor Memory NIC_MACs NIC_links NIC_modes".to_owned(),
        format!("{name}.lan kvm 512M {MAC} {BRIDGE} bridged"),
        format!("other.lan kvm - aa:00:00:12:34:58 {BRIDGE} bridged"),
    ];
    fs::write(&file, lines.join("\n") + "\n")?;
    let file = file.to_string_lossy();
    let outcome = host.subhostctl(&["import", "ganeti", &file])?;
    assert!(outcome.code == 2 && outcome.stderr.contains("other.lan"), "{outcome}");
    let outcome = host.subhostctl(&["import", "ganeti", &file, "--instance", &name, "--into", &name])?;
    assert!(outcome.code == 0 && outcome.stderr.contains("a list does not name them"), "{outcome}");
    let config = fs::read_to_string(host.root_dir().join(&name).join("config"))?;
    assert!(config.contains(&format!("{BRIDGE}:{MAC}")) && config.contains("MEMORY=512M"), "{config}");
    assert!(!config.contains("12:34:58"), "{config}");
    Ok(())
}

/// The program that Ganeti has is played by a script that says what it would.
fn instance(host: &Host) -> Verdict {
    bridge(host)?;
    let image = host.copy_of(Fixture::TinyMbr)?;
    let name = host.name("gnt");
    let (bin, said) = (host.directory().join("bin"), host.directory().join("said"));
    fs::create_dir(&bin)?;
    let info = format!(
        "- Instance name: {name}\n  Hypervisor: kvm\n  Back-end parameters:\n    maxmem: 128\n  NICs:\n    - nic/0:\n      \
         MAC: {MAC}\n      mode: bridged\n      link: {BRIDGE}\n  Disks:\n    - disk/0: file, size 1G\n      \
         on primary: {} (N/A:N/A)\n",
        image.display()
    );
    fs::write(&said, info)?;
    let script = format!("#!/bin/sh\n[ \"$*\" = 'info -- {name}' ] && exec cat {}\nexit 1\n", said.display());
    fs::write(bin.join("gnt-instance"), script)?;
    fs::set_permissions(bin.join("gnt-instance"), PermissionsExt::from_mode(0o755))?;
    let path = format!("{}:{}", bin.display(), std::env::var("PATH")?);
    let run = |words: &[&str]| {
        let mut command = host.command(words);
        command.env("PATH", &path);
        program::run(command, Duration::from_secs(60))
    };
    let outcome = run(&["boot", "--ganeti", &name, "--detach"])?;
    assert_eq!(outcome.code, 0, "{outcome}");
    let guest = host.running(&name)?;
    let links = host.witness("ip", &["-n", &name, "link", "show", "eth0"])?;
    assert!(links.contains(MAC), "{links}");
    assert!(!host.root_dir().join(&name).exists());
    // It is asked anew.
    let outcome = run(&["restart", &name])?;
    assert_eq!(outcome.code, 0, "{outcome}");
    assert_ne!(host.running(&name)?.init_pid(), guest.init_pid());
    host.done(&["stop", &name])?;
    // In a script that Ganeti runs, its environment says all.
    let mut script = host.command(&["boot", "--ganeti", &name, "--detach"]);
    script.env("INSTANCE_NAME", &name).env("DISK_COUNT", "1").env("DISK_0_PATH", &image);
    let outcome = program::run(script, Duration::from_secs(60))?;
    assert_eq!(outcome.code, 0, "{outcome}");
    host.done(&["stop", &name])?;
    let other = host.name("other");
    let outcome = run(&["boot", "--ganeti", &other, "--detach"])?;
    assert!(outcome.code == 1 && outcome.stderr.contains("gnt-instance info"), "{outcome}");
    Ok(())
}

fn directory(host: &Host) -> Verdict {
    bridge(host)?;
    let tree = host.copy_of(Fixture::TinyTree)?;
    let (name, file) = (host.name("lxc"), host.directory().join("lxc"));
    let text = format!(
        "lxc.rootfs.path = {}\nlxc.uts.name = box\nlxc.net.0.type = veth\nlxc.net.0.link = {BRIDGE}\n\
         lxc.net.0.hwaddr = {MAC}\nlxc.net.0.ipv4.address = 10.80.3.7/16\nlxc.cgroup2.pids.max = 50\n",
        tree.display()
    );
    fs::write(&file, text)?;
    host.done(&["import", "lxc", &file.to_string_lossy(), "--into", &name])?;
    let said = host.done(&["start", &name, "--", "sh", "-c", "hostname; ip addr show eth0"])?;
    assert!(said.starts_with("box\n") && said.contains(MAC) && said.contains("10.80.3.7/16"), "{said}");
    host.done(&["stop", &name])?;
    // A bundle of OCI.
    let (name, bundle) = (host.name("oci"), host.directory().join("bundle"));
    fs::create_dir(&bundle)?;
    let root = tree.display();
    let text = format!(
        r#"{{ "ociVersion": "1.0.2", "hostname": "bundled", "root": {{ "path": "{root}" }}, "process": {{ "args": ["sh"], "env": ["WORD=kept"] }} }}"#
    );
    fs::write(bundle.join("config.json"), text)?;
    host.done(&["import", "oci", &bundle.to_string_lossy(), "--into", &name])?;
    let said = host.done(&["start", &name, "--", "sh", "-c", "hostname; echo $WORD"])?;
    assert_eq!(said, "bundled\nkept\n");
    host.done(&["stop", &name])?;
    Ok(())
}

fn refused(host: &Host) -> Verdict {
    let file = |name: &str, bytes: &[u8]| {
        let path = host.directory().join(name);
        fs::write(&path, bytes).map(|()| path.to_string_lossy().into_owned())
    };
    let large = host.directory().join("large");
    fs::File::create(&large)?.set_len(100 << 20)?;
    let bomb = b"<!DOCTYPE d [<!ENTITY a 'a'><!ENTITY b '&a;&a;'>]><domain>&b;</domain>";
    let rows = [
        ("libvirt", file("bomb", bomb)?),
        ("libvirt", file("cut", b"<domain><name>x")?),
        ("libvirt", large.display().to_string()),
        ("oci", file("nul", b"{\0}")?),
        ("lxc", file("random", &[0xff; 1000])?),
        ("qemu", "qemu-system-x86_64 -hda $(reboot)".to_owned()),
        ("nspawn", "/dev/zero".to_owned()),
        ("ganeti", file("nothing", b"")?),
    ];
    for (format, source) in rows {
        let outcome = host.subhostctl(&["import", format, &source, "--into", "none"])?;
        assert!(outcome.code == 2 && outcome.stdout.is_empty(), "{format} {source}: {outcome}");
    }
    assert!(!host.root_dir().join("none").exists());
    Ok(())
}
