//! Descriptions as the programs write them, and such as nobody should.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use subhost_config::{Source, overlay_boot};

use super::draft::Draft;
use super::{ganeti, libvirt, lxc, nspawn, oci, overlay_boot as of_overlay_boot, qemu};

/// Every setting that an importer sets.
const NAMES: &[&str] = &[
    "ADDRESSES",
    "AUTOSTART",
    "BASE",
    "BINDS",
    "BRIDGES",
    "CAPS_ADD",
    "CAPS_DROP",
    "CMDLINE",
    "CPUS",
    "DEVICES",
    "DISKS",
    "ENVIRONMENT",
    "EPHEMERAL",
    "GATEWAY",
    "HOSTNAME",
    "INIT",
    "IO_WEIGHT",
    "ISOLATED",
    "MEMORY",
    "MTU",
    "READONLY",
    "RESTART",
    "ROOT",
    "START_DELAY",
    "TASKS",
    "TMPFS_SIZE",
    "USERNS",
    "WORK",
];

/// What the text means to a real bash: each setting's words. It runs in an empty folder, which has to stay so.
fn by_bash(text: &str) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let folder = tempfile::tempdir().unwrap();
    let (file, work) = (folder.path().join("config"), folder.path().join("work"));
    fs::write(&file, text).unwrap();
    fs::create_dir(&work).unwrap();
    let mut script =
        format!("unset {}; . ../config >out 2>&1 || exit 9; [ -s out ] && exit 8; rm out\n", NAMES.join(" "));
    for name in NAMES {
        let print = format!("printf '%s\\0' {name} \"${{#{name}[@]}}\" \"${{{name}[@]}}\"");
        let _ = writeln!(script, "[ \"${{{name}+x}}\" ] && {print}");
    }
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", &format!("{script}[ -z \"$(ls -A)\" ] || exit 7")])
        .current_dir(&work);
    let out = bash.env_clear().env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin").output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    let mut words = out.stdout.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let mut found = Vec::new();
    while let Some(name) = words.next().filter(|name| !name.is_empty()) {
        let name = NAMES.iter().find(|known| known.as_bytes() == name).unwrap();
        let count = String::from_utf8(words.next().unwrap()).unwrap().parse().unwrap();
        found.push((*name, words.by_ref().take(count).collect()));
    }
    found
}

/// The text means the same to us, to bash and to the draft; each line is a comment or a part of an assignment.
fn round_trip(draft: &Draft) {
    let text = draft.text();
    let loaded = draft.loaded(Path::new("/import"));
    let found: Vec<&str> = loaded.diagnostics.iter().map(|it| it.message.as_str()).collect();
    assert!(loaded.config.is_some(), "{found:?}\n{text}");
    let ours = NAMES.iter().filter(|name| draft.has(name)).map(|name| (*name, draft.words(name).to_vec()));
    assert_eq!(by_bash(&text), ours.collect::<Vec<_>>(), "{text}");
}

/// The assignments alone.
fn settings(draft: &Draft) -> String {
    round_trip(draft);
    draft.text().lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

fn leaves(draft: &Draft, what: &str) -> bool {
    draft.left().iter().any(|line| line.contains(what))
}

/// A folder with a disk: an MBR whose second partition is said to hold a squashfs, and none the first.
fn folder_with_disk() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("a disk's.raw");
    let mut bytes = vec![0_u8; 4 << 20];
    for (slot, start, count) in [(0, 2048_u32, 1024_u32), (1, 4096, 2048)] {
        let entry = 446 + 16 * slot;
        bytes[entry + 4] = 0x83;
        bytes[entry + 8..entry + 12].copy_from_slice(&start.to_le_bytes());
        bytes[entry + 12..entry + 16].copy_from_slice(&count.to_le_bytes());
    }
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(&disk, bytes).unwrap();
    (folder, disk)
}

#[test]
fn the_file_systems_of_a_disk_are_found() {
    let (folder, disk) = folder_with_disk();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let image = folder.path().join("small.ext4");
    let mkfs =
        Command::new("/sbin/mkfs.ext4").args(["-q", "-F", "-d"]).args([&tree, &image]).arg("900k").output();
    assert!(mkfs.unwrap().status.success());
    let words = |image: &Path| {
        let mut draft = Draft::new("");
        super::disk::add(&mut draft, "vda", image, "disk");
        (draft.words("DISKS").to_vec(), draft.left())
    };
    // Neither partition has one yet.
    assert_eq!(words(&disk).0, Vec::<Vec<u8>>::new());
    let mut bytes = fs::read(&disk).unwrap();
    bytes[4096 * 512..][..900 * 1024].copy_from_slice(&fs::read(&image).unwrap());
    fs::write(&disk, bytes).unwrap();
    let word = |index: u32, path: &Path| format!("vda:{index}:{}", path.display()).into_bytes();
    assert_eq!(words(&disk), (vec![word(2, &disk)], vec![]));
    assert_eq!(words(&image), (vec![word(0, &image)], vec![]));
    let gone = folder.path().join("gone");
    let (found, left) = words(&gone);
    assert_eq!(found, [word(1, &gone)]);
    assert!(left[0].contains("partition 1 is assumed"), "{left:?}");
    assert!(words(Path::new("/dev/zero")).1[0].contains("neither a file nor a block device"));
}

const DOMAIN: &str = r#"<!-- made by virsh -->
<domain type='kvm' id='3'>
  <name>web</name>
  <uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid>
  <memory unit='KiB'>1048576</memory>
  <currentMemory unit='MiB'>512</currentMemory>
  <vcpu placement='static'>2</vcpu>
  <blkiotune><weight>800</weight></blkiotune>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <kernel>/boot/vmlinuz</kernel>
    <cmdline>root=/dev/vda1 "quiet"</cmdline>
  </os>
  <on_crash>restart</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='/disks/a &amp; b&apos;s.raw'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='block' device='disk'>
      <source dev='/dev/nowhere/data'/>
      <target dev='vdb' bus='virtio'/>
      <readonly/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/disks/c.qcow2'/>
      <target dev='vdc' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'><target dev='sda'/></disk>
    <interface type='bridge'>
      <mac address='52:54:00:AA:BB:01'/>
      <source bridge='br0'/>
      <mtu size='1400'/>
      <model type='virtio'/>
      <vlan><tag id='42'/></vlan>
    </interface>
    <interface type='network'>
      <mac address='52:54:00:aa:bb:02'/>
      <source network='default'/>
    </interface>
    <filesystem type='mount'><source dir='/srv'/><target dir='tag'/></filesystem>
    <graphics type='vnc' port='-1'/>
    <shmem name='x'/>
  </devices>
</domain>
"#;

#[test]
fn a_domain_of_libvirt_becomes_settings() {
    let draft = libvirt::read(DOMAIN.as_bytes(), "web.xml").unwrap();
    assert_eq!(
        settings(&draft),
        r#"HOSTNAME=web
MEMORY=512M
CPUS=2
IO_WEIGHT=800
CMDLINE='root=/dev/vda1 "quiet"'
RESTART=on-failure
DISKS=(
    'vda:1:/disks/a & b'\''s.raw'
    vdb:1:/dev/nowhere/data
)
BRIDGES=(
    br0:52:54:00:aa:bb:01
    :52:54:00:aa:bb:02
)
MTU=1400
"#
    );
    for left in [
        "<kernel>",
        "vdb: it is read-only",
        "c.qcow2 is qcow2",
        "no cdrom",
        "<vlan>",
        "net-info default",
        "BINDS=( /srv:PATH )",
        "emulator, graphics, uuid",
        "<shmem>",
    ] {
        assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
    }
}

#[test]
fn a_container_of_libvirt_is_a_folder() {
    let text = "<domain type='lxc'><name>box</name><memory>65536</memory>
        <os><type>exe</type><init>/sbin/init</init><initenv name='LANG'>C x</initenv></os>
        <idmap><uid start='0' target='200000' count='65536'/><gid start='0' target='200000' count='65536'/></idmap>
        <devices><filesystem type='mount'><source dir='/srv/box'/><target dir='/'/></filesystem>
        <filesystem type='mount'><source dir='/srv/w'/><target dir='/w'/><readonly/></filesystem>
        <hostdev mode='capabilities' type='misc'><source><char>/dev/net/tun</char></source></hostdev>
        <interface type='bridge'><source bridge='br0'/></interface></devices></domain>";
    let draft = libvirt::read(text.as_bytes(), "box.xml").unwrap().settled();
    assert!(draft.is_tree());
    assert_eq!(
        settings(&draft),
        "HOSTNAME=box\nMEMORY=64M\nENVIRONMENT=( 'LANG=C x' )\nUSERNS=200000:65536\nROOT=/srv/box\n\
         BINDS=( /srv/w:/w:ro )\nDEVICES=( /dev/net/tun )\nBRIDGES=( br0: )\n"
    );
    assert!(leaves(&draft, "INIT: has no effect"));
}

#[test]
fn xml_that_is_broken_or_a_bomb_is_refused() {
    let bomb =
        "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><domain>&b;</domain>";
    let file = "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain><name>&a;</name></domain>";
    let deep = "<domain>".repeat(50_000);
    let wide = format!("<domain>{}</domain>", "<a/>".repeat(150_000));
    for text in
        [bomb, file, &deep, &wide, "", "<domain", "<a/>", "<domain>\0</domain>", "<domain>&x;</domain>"]
    {
        assert!(libvirt::read(text.as_bytes(), "").is_err(), "{}", &text[..text.len().min(80)]);
    }
    for end in (0..DOMAIN.len()).filter(|end| DOMAIN.is_char_boundary(*end)).step_by(7) {
        // But for what stands behind the end.
        if let Ok(draft) = libvirt::read(&DOMAIN.as_bytes()[..end], "") {
            assert!(end >= DOMAIN.trim_end().len(), "{}", draft.text());
        }
    }
    let nested = format!("{}{}", "<domain>".repeat(1000), "</domain>".repeat(1000));
    round_trip(&libvirt::read(nested.as_bytes(), "").unwrap());
}

#[test]
fn a_command_line_of_qemu_becomes_settings() {
    let text = r"#!/bin/sh
# the web server
qemu-system-x86_64 -enable-kvm -name guest=web,debug-threads=on -m 2G -smp 4,sockets=1 \
    -drive 'file=/disks/a,,b.raw,if=virtio,format=raw' \
    -drive file=/disks/c.qcow2,format=qcow2 -hdb data.img \
    -drive id=d0,if=none,file=/disks/d.raw -device virtio-blk-pci,drive=d0 \
    -netdev bridge,id=n0,br=br0 -device virtio-net-pci,netdev=n0,mac=52:54:00:AA:BB:01 \
    -netdev user,id=n1 -device e1000,netdev=n1,mac=52:54:00:aa:bb:02 \
    -nic bridge,br=br1,mac=52:54:00:aa:bb:03 \
    -append 'root=/dev/vda1 quiet' -kernel /boot/vmlinuz -snapshot -vga std -unheard-of
";
    let words = qemu::words_of(text.as_bytes()).unwrap();
    let draft = qemu::read(&words, Path::new("/somewhere"), "x").unwrap();
    assert_eq!(
        settings(&draft),
        "HOSTNAME=web\nMEMORY=2G\nCPUS=4\nDISKS=(\n    'vda:1:/disks/a,b.raw'\n    sdb:1:/somewhere/data.img\n    \
         vdb:1:/disks/d.raw\n)\nBRIDGES=(\n    br1:52:54:00:aa:bb:03\n    br0:52:54:00:aa:bb:01\n    \
         :52:54:00:aa:bb:02\n)\nCMDLINE='root=/dev/vda1 quiet'\nEPHEMERAL=yes\n"
    );
    for left in ["c.qcow2 is qcow2", "`user` leads to", "-kernel", "-enable-kvm, -vga", "-unheard-of"] {
        assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
    }
}

#[test]
fn a_command_line_that_libvirt_has_made_is_understood() {
    let words = [
        "/usr/bin/qemu-system-x86_64",
        "-m",
        "size=524288k",
        "-blockdev",
        r#"{"driver":"file","filename":"/disks/a.raw","node-name":"s1","cache":{"direct":true}}"#,
        "-blockdev",
        r#"{"node-name":"f1","read-only":false,"driver":"raw","file":"s1"}"#,
        "-device",
        r#"{"driver":"virtio-blk-pci","bus":"pci.4","drive":"f1","id":"virtio-disk0"}"#,
        "-blockdev",
        r#"{"driver":"file","filename":"/disks/b.qcow2","node-name":"s2"}"#,
        "-blockdev",
        r#"{"node-name":"f2","driver":"qcow2","file":"s2"}"#,
        "-device",
        r#"{"driver":"virtio-blk-pci","drive":"f2"}"#,
        "-blockdev",
        r#"{"node-name":"l","driver":"raw","file":"l"}"#,
        "-device",
        r#"{"driver":"nvme","drive":"l"}"#,
        "-netdev",
        r#"{"type":"tap","fd":"30","id":"n0"}"#,
        "-device",
        r#"{"driver":"virtio-net-pci","netdev":"n0","mac":"52:54:00:aa:bb:01"}"#,
    ];
    let bytes: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    let words = qemu::words_of(&bytes).unwrap();
    let draft = qemu::read(&words, Path::new("/"), "a process").unwrap();
    assert_eq!(
        settings(&draft),
        "MEMORY=512M\nDISKS=( vda:1:/disks/a.raw )\nBRIDGES=( :52:54:00:aa:bb:01 )\n"
    );
    assert!(leaves(&draft, "b.qcow2 is qcow2") && leaves(&draft, "it names no file"), "{:#?}", draft.left());
}

#[test]
fn a_command_line_that_a_shell_would_do_more_with_is_refused() {
    for text in [
        "qemu -m $(id)",
        "qemu -m \"`id`\"",
        "qemu; id",
        "qemu > /x",
        "qemu 'a",
        "qemu \"a",
        "qemu \\",
        "ls -l",
        "",
    ] {
        let read = qemu::words_of(text.as_bytes()).and_then(|words| qemu::read(&words, Path::new("/"), ""));
        assert!(read.is_err(), "{text}");
    }
}

const GANETI: &str = "\
INSTANCE_NAME=web.example.com
INSTANCE_OS=debootstrap+default
HYPERVISOR=kvm
DISK_COUNT=2
DISK_0_PATH=/dev/nowhere/drbd0
DISK_0_ACCESS=rw
DISK_1_PATH=/srv/ganeti/web:1
DISK_1_ACCESS=ro
NIC_COUNT=2
NIC_0_MAC=aa:00:00:12:34:56
NIC_0_MODE=bridged
NIC_0_LINK=xen-br0
NIC_0_BRIDGE=xen-br0
NIC_0_IP=192.0.2.7
NIC_0_NETWORK_SUBNET=192.0.2.0/24
NIC_0_NETWORK_GATEWAY=192.0.2.1
NIC_1_MAC=aa:00:00:12:34:57
NIC_1_MODE=routed
NIC_1_LINK=100
NIC_1_IP=198.51.100.7
INSTANCE_BE_maxmem=512
INSTANCE_BE_vcpus=2
INSTANCE_HV_acpi=True
INSTANCE_HV_kernel_path=
";

#[test]
fn the_environment_of_ganeti_becomes_settings() {
    let draft = ganeti::read(GANETI.as_bytes(), None, "x").unwrap();
    assert_eq!(
        settings(&draft),
        "HOSTNAME=web.example.com\nDISKS=(\n    vda:1:/dev/nowhere/drbd0\n    vdb:1:/srv/ganeti/web:1\n)\n\
         BRIDGES=(\n    xen-br0:aa:00:00:12:34:56\n    :aa:00:00:12:34:57\n)\nADDRESSES=( 192.0.2.7/24 )\n\
         GATEWAY=( 192.0.2.1 )\nMEMORY=512M\nCPUS=2\n"
    );
    for left in
        ["disk 1: it is read-only", "NIC 1: it is routed by `100`", "198.51.100.7 is not known", "acpi"]
    {
        assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
    }
}

const INFO: &str = "\
- Instance name: web.example.com
  UUID: 7ec8ca6d-0d2e-4f3e-a8c2-8d6d4e8b0ed7
  State: configured to be up, actual state is up
  Nodes:
    - primary: node1.example.com
      group: default (UUID 5a3b)
    - secondaries: node2.example.com
  Operating system: debootstrap+default
  Hypervisor: kvm
  Hypervisor parameters:
    acpi: default (True)
    kernel_args: default (ro)
  Back-end parameters:
    maxmem: 1024
    vcpus: default (1)
  NICs:
    - nic/0:
      MAC: aa:00:00:12:34:56
      IP: None
      mode: bridged
      link: br0
      vlan:
      network: None
      name: None
  Disk template: drbd
  Disks:
    - disk/0: drbd, size 10.0G
      access mode: rw
      nodeA: node1.example.com, minor=0
      on primary: /dev/nowhere0 (147:0) in sync, status ok
      on secondary: /dev/nowhere5 (147:5) in sync, status ok
      child devices:
        - child 0: plain, size 10.0G
          logical_id: xenvg/7ec8.disk0_data
          on primary: /dev/xenvg/7ec8.disk0_data (253:0)
    - disk/1: plain, size 1.0G
      access mode: rw
      logical_id: xenvg/7ec8.disk1
- Instance name: db.example.com
  Disks:
    - disk/0: file, size 1.0G
      on primary: /srv/ganeti/file-storage/db/disk0 (N/A:N/A)
";

#[test]
fn what_gnt_instance_says_becomes_settings() {
    let read = |instance: &str| ganeti::read(INFO.as_bytes(), Some(instance), "x").unwrap();
    let draft = read("web");
    assert_eq!(
        settings(&draft),
        "HOSTNAME=web.example.com\nDISKS=( vda:1:/dev/nowhere0 )\nBRIDGES=( br0:aa:00:00:12:34:56 )\nMEMORY=1G\nCPUS=1\n"
    );
    assert!(leaves(&draft, "disk 1: it has no path on this node"), "{:#?}", draft.left());
    let other = settings(&read("db.example.com"));
    assert_eq!(other, "HOSTNAME=db.example.com\nDISKS=( vda:1:/srv/ganeti/file-storage/db/disk0 )\n");
    let several = ganeti::read(INFO.as_bytes(), None, "x").unwrap_err();
    assert!(several.contains("web.example.com db.example.com"), "{several}");
    assert!(ganeti::read(INFO.as_bytes(), Some("web.example"), "x").is_ok());
    assert!(ganeti::read(INFO.as_bytes(), Some("we"), "x").is_err());
}

#[test]
fn a_table_of_instances_becomes_settings() {
    let table = "Instance        Hypervisor Memory NIC_MACs                            NIC_links NIC_modes\n\
                 web.example.com kvm          512M aa:00:00:12:34:56,aa:00:00:12:34:57 br0,br1   bridged,bridged\n\
                 db.example.com  kvm             - aa:00:00:12:34:58                   br0       bridged\n";
    let draft = ganeti::read(table.as_bytes(), Some("web"), "x").unwrap();
    assert_eq!(
        settings(&draft),
        "HOSTNAME=web.example.com\nBRIDGES=(\n    br0:aa:00:00:12:34:56\n    br1:aa:00:00:12:34:57\n)\nMEMORY=512M\n"
    );
    assert!(leaves(&draft, "a list does not name them"));
    assert_eq!(settings(&ganeti::read(table.as_bytes(), Some("db"), "x").unwrap()).lines().count(), 2);
    let bars = |line: &str| line.split_whitespace().collect::<Vec<_>>().join("|") + "\n";
    let with_bars: String = table.lines().map(bars).collect();
    assert_eq!(settings(&ganeti::read(with_bars.as_bytes(), Some("web"), "x").unwrap()), settings(&draft));
    assert!(ganeti::read(b"Instance Memory\nweb\n", None, "x").is_err());
    assert!(ganeti::read(b"something else\n", None, "x").is_err());
}

#[test]
fn a_container_of_lxc_becomes_settings() {
    let text = "\
# Template used to create this container
lxc.include = /usr/share/lxc/config/debian.common.conf
lxc.rootfs.path = dir:/var/lib/lxc/web/rootfs
lxc.uts.name = web
lxc.arch = amd64
lxc.net.0.type = veth
lxc.net.0.link = br0
lxc.net.0.flags = up
lxc.net.0.hwaddr = 00:16:3e:0A:0b:0c
lxc.net.0.ipv4.address = 192.0.2.7/24 192.0.2.255
lxc.net.0.ipv4.gateway = 192.0.2.1
lxc.net.1.type = macvlan
lxc.net.1.hwaddr = 00:16:3e:xx:xx:xx
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.mount.entry = /srv/my\\040web var/www none bind,ro,create=dir 0 0
lxc.mount.entry = /dev/net/tun dev/net/tun none bind,create=file
lxc.mount.entry = tmpfs tmp tmpfs defaults
lxc.cgroup2.memory.max = 256M
lxc.cgroup2.cpu.max = 50000 100000
lxc.cgroup2.pids.max = 500
lxc.cgroup2.devices.allow = c 10:200 rwm
lxc.cap.drop = sys_time mac_admin
lxc.environment = LANG=C.UTF-8
lxc.environment = TERM
lxc.apparmor.profile = generated
lxc.start.auto = 1
lxc.unheard.of = 1
";
    let draft = lxc::read(text.as_bytes(), "x").unwrap().settled();
    assert_eq!(
        settings(&draft),
        "ROOT=/var/lib/lxc/web/rootfs\nHOSTNAME=web\nBINDS=( '/srv/my web:/var/www:ro' )\nDEVICES=( /dev/net/tun:rw )\n\
         MEMORY=256M\nCPUS=0.5\nTASKS=500\nCAPS_DROP=(\n    sys_time\n    mac_admin\n)\nENVIRONMENT=( 'LANG=C.UTF-8' )\n\
         BRIDGES=(\n    br0:00:16:3e:0a:0b:0c\n    :\n)\nADDRESSES=( 192.0.2.7/24 )\nGATEWAY=( 192.0.2.1 )\n\
         USERNS=100000:65536\n"
    );
    for left in [
        "lxc.include",
        "macvlan",
        "tmpfs tmp",
        "devices.allow",
        "TERM",
        "apparmor",
        "AUTOSTART: has no",
        "lxc.unheard.of",
    ] {
        assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
    }
}

#[test]
fn an_old_container_of_lxc_has_other_names() {
    let text = "lxc.utsname = old\nlxc.rootfs = overlayfs:/srv/base:/srv/old/delta0\nlxc.network.type = veth\n\
                lxc.network.link = br0\nlxc.network.ipv4 = 192.0.2.9/24\nlxc.network.type = veth\nlxc.network.link = br1\n";
    let draft = lxc::read(text.as_bytes(), "x").unwrap();
    assert_eq!(
        settings(&draft),
        "BASE=( /srv/base )\nROOT=/srv/old/delta0\nHOSTNAME=old\nBRIDGES=(\n    br0:\n    br1:\n)\n\
         ADDRESSES=( 192.0.2.9/24 )\n"
    );
    assert!(lxc::read(b"lxc.utsname\n", "x").is_err());
    let disk = lxc::read(b"lxc.rootfs.path = loop:/srv/x.img\n", "x").unwrap();
    assert_eq!(settings(&disk), "DISKS=( vda:1:/srv/x.img )\n");
}

#[test]
fn settings_of_nspawn_become_settings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.nspawn");
    fs::create_dir(folder.path().join("web")).unwrap();
    let text = r#"
[Exec]
Boot=yes
Environment="A=b c" D=e
Hostname=web1
Capability=CAP_NET_ADMIN CAP_MKNOD
PrivateUsers=pick
SystemCallFilter=@keyring
[Files]
Bind=/srv/a\:b:/mnt/a
BindReadOnly=/srv/www:/var/www:norbind
Bind=+/inside
ReadOnly=yes
[Network]
Bridge=br0
Port=tcp:80
"#;
    let draft = nspawn::read(text.as_bytes(), &path, "x").unwrap().settled();
    let root = folder.path().join("web");
    assert_eq!(
        settings(&draft),
        format!(
            "ROOT={}\nENVIRONMENT=(\n    'A=b c'\n    'D=e'\n)\nHOSTNAME=web1\nCAPS_ADD=(\n    CAP_NET_ADMIN\n    CAP_MKNOD\n)\n\
             BINDS=( /srv/www:/var/www:ro )\nBRIDGES=( br0: )\n",
            root.display()
        )
    );
    for left in ["INIT: has no", "READONLY: has no", "SystemCallFilter", "a\\:b", "+/inside", "Network.Port"]
    {
        assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
    }
    assert!(nspawn::read(b"[Exec]\nnonsense\n", &path, "x").is_err());
}

#[test]
fn a_bundle_becomes_settings() {
    let text = r#"{
      "ociVersion": "1.0.2",
      "process": { "terminal": true, "user": { "uid": 1000, "gid": 1000 }, "args": ["sh", "-c", "echo it's"], "cwd": "/srv",
        "env": ["PATH=/usr/bin:/bin", "TERM=xterm"], "noNewPrivileges": true, "rlimits": [] },
      "root": { "path": "rootfs", "readonly": true },
      "hostname": "runc",
      "mounts": [
        { "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/data", "type": "bind", "source": "/srv/data", "options": ["rbind", "ro"] },
        { "destination": "/cache", "type": "tmpfs", "source": "tmpfs" }
      ],
      "linux": {
        "uidMappings": [{ "containerID": 0, "hostID": 100000, "size": 65536 }],
        "gidMappings": [{ "containerID": 0, "hostID": 100000, "size": 65536 }],
        "devices": [{ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229 }],
        "resources": { "memory": { "limit": 268435456, "swap": 1 }, "cpu": { "quota": 150000, "period": 100000 },
          "pids": { "limit": 100 }, "devices": [{ "allow": false, "access": "rwm" }] },
        "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }],
        "seccomp": {}, "maskedPaths": ["/proc/kcore"]
      },
      "hooks": {}, "newer": 1
    }"#;
    let draft = oci::read(text.as_bytes(), Path::new("/srv/bundle"), "x").unwrap().settled();
    assert_eq!(
        settings(&draft),
        "HOSTNAME=runc\nUSERNS=100000:65536\nDEVICES=( /dev/fuse )\nMEMORY=256M\nCPUS=1.5\nTASKS=100\n\
         BINDS=( /srv/data:/data:ro )\nENVIRONMENT=(\n    'PATH=/usr/bin:/bin'\n    'TERM=xterm'\n)\nROOT=/srv/bundle/rootfs\n"
    );
    for left in [
        "subhostctl start NAME -- sh -c 'echo it'\\''s'",
        "process.user",
        "process.rlimits",
        "root.readonly",
        "mount /cache",
        "network is the host's",
        "linux.seccomp",
        "memory.swap",
        "hooks",
        "newer",
        "noNewPrivileges",
    ] {
        assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
    }
    let nested = format!("{{\"ociVersion\":{}", "[".repeat(100_000));
    for text in ["", "{", "[]", "{}", "{\"ociVersion\":1}x", &nested] {
        assert!(oci::read(text.as_bytes(), Path::new("/"), "x").is_err());
    }
    // Whatever stands where something else should.
    let odd = r#"{"ociVersion":1,"root":[],"process":7,"mounts":{"a":1},"linux":"x","hostname":{}}"#;
    round_trip(&oci::read(odd.as_bytes(), Path::new("/"), "x").unwrap());
}

#[test]
fn a_configuration_of_overlay_boot_becomes_settings() {
    let text = "# a mail server\nBASE= .\nNAME= mta\nCABLES= lan0=06:a7:dd:b4:02:f2 =.302 =\nSTART= networking ssh\n\
                SHARE= /srv/mail\nSHARE= www:/var/www\nRAM_SIZE= 50m\nLOWER= /srv/base\nINIT= /sbin/init\nPOSTMOUNT= x\n";
    let (variables, diagnostics) = overlay_boot::read(&Source::new("mta.conf", text));
    assert!(diagnostics.iter().all(|it| !it.is_error()));
    let draft = of_overlay_boot::draft_of(&variables, Path::new("/opt/subhost/mta"), "x").settled();
    assert_eq!(
        settings(&draft),
        "HOSTNAME=mta\nBASE=( /srv/base )\nROOT=/opt/subhost/mta/root\nWORK=/opt/subhost/mta/work\n\
         BRIDGES=(\n    lan0:06:a7:dd:b4:02:f2\n    :\n)\nTMPFS_SIZE=50M\n\
         BINDS=(\n    /srv/mail:/srv/mail:rw\n    /opt/subhost/mta/www:/var/www:rw\n)\n"
    );
    for left in ["=.302", "START= networking ssh", "POSTMOUNT", "INIT: has no"] {
        assert!(leaves(&draft, left), "{left}: {:#?}", draft.left());
    }
}

#[test]
fn what_is_large_or_no_text_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large");
    fs::File::create(&large).unwrap().set_len(100 << 20).unwrap();
    assert!(super::read(&large).unwrap_err().to_string().contains("larger than"));
    assert!(
        super::read(Path::new("/dev/zero")).unwrap_err().to_string().contains("neither a file nor a pipe")
    );
    assert!(super::read(folder.path()).is_err());
    for (bytes, reason) in [(&b"a\0b"[..], "NUL byte at byte 1"), (b"ab\xff", "no UTF-8 at byte 2")] {
        assert!(super::text(bytes).unwrap_err().contains(reason));
        for refused in [
            ganeti::read(bytes, None, ""),
            libvirt::read(bytes, ""),
            lxc::read(bytes, ""),
            nspawn::read(bytes, Path::new("/x/a"), ""),
            oci::read(bytes, Path::new("/"), ""),
        ] {
            assert!(refused.is_err());
        }
    }
}

/// Anything, and what a shell would love.
fn hostile() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "$(touch x)",
        "`touch x`",
        "'",
        "\"",
        "\\",
        "\n",
        ";touch x;",
        "#",
        "(",
        ")",
        "${x:=1}",
        "*",
        "~",
        "a",
        " ",
        "=",
        ":",
        "\u{202e}",
        "\x1b[2J",
        "\r",
        "&lt;",
        "]]>",
        ",",
        "!",
        "\u{e9}",
        "/",
        "-",
    ]);
    prop_oneof![any::<String>(), prop::collection::vec(words, 0..12).prop_map(|words| words.concat())]
}

fn escaped(text: &str) -> String {
    let of = |c: char| match c {
        '<' | '>' | '&' | '\'' | '"' => format!("&#{};", u32::from(c)),
        // What XML cannot hold.
        c if c.is_control() && !"\t\n\r".contains(c) || "\u{fffe}\u{ffff}".contains(c) => "?".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn any_bytes_survive_bash(bytes in prop::collection::vec(1_u8.., 0..60), text in hostile()) {
        let mut draft = Draft::new(text.as_str());
        draft.set("CMDLINE", text.replace(['\n', '\0'], ""), &text);
        draft.set("HOSTNAME", &text, &text);
        draft.add("ENVIRONMENT", [b"A=".as_slice(), &bytes].concat(), "");
        draft.add("DISKS", [b"vda:1:/".as_slice(), &bytes].concat(), &text);
        draft.add("BINDS", [b"/".as_slice(), &bytes, b":/x:ro"].concat(), "");
        draft.set("ROOT", [b"/".as_slice(), &bytes].concat(), "");
        draft.add("BRIDGES", &bytes, &String::from_utf8_lossy(&bytes));
        draft.leave(&text, &text);
        round_trip(&draft);
    }

    #[test]
    fn no_field_of_any_format_gets_to_a_shell(one in hostile(), two in hostile()) {
        let (a, b) = (escaped(&one), escaped(&two));
        let xml = format!(
            "<domain type='lxc'><name>{a}</name><memory unit='{b}'>{a}</memory><os><cmdline>{b}</cmdline><init>{a}</init>\
             <initenv name='A'>{b}</initenv></os><devices><disk><source file='/{a}'/><target dev='{b}'/></disk>\
             <interface type='bridge'><source bridge='{a}'/><mac address='{b}'/></interface>\
             <filesystem><source dir='/{b}'/><target dir='/{a}'/></filesystem></devices></domain>"
        );
        round_trip(&libvirt::read(xml.as_bytes(), &one).unwrap());
        let words = ["qemu", "-hda", &one, "-append", &two, "-name", &one, "-m", &two, "-nic", &two, "-x", &one];
        let words: Vec<String> = words.map(str::to_owned).to_vec();
        let nul = |text: &str| text.contains('\0');
        if !nul(&one) && !nul(&two) {
            round_trip(&qemu::read(&words, Path::new("/"), "").unwrap());
        }
        let (line, other) = (one.replace(['\n', '\r', '\0'], ""), two.replace(['\n', '\r', '\0'], ""));
        let ganeti = format!(
            "INSTANCE_NAME={line}\nDISK_COUNT=1\nDISK_0_PATH=/{other}\nNIC_COUNT=1\nNIC_0_LINK={line}\nNIC_0_MAC={other}\n\
             INSTANCE_BE_maxmem={line}\n{line}={other}\n"
        );
        round_trip(&ganeti::read(ganeti.as_bytes(), None, "").unwrap());
        let lxc = format!("lxc.uts.name={line}\nlxc.rootfs.path={other}\nlxc.net.0.link={line}\nlxc.net.0.hwaddr={other}\n\
                           lxc.environment=A={line}\nlxc.mount.entry={other} x none bind\nlxc.cgroup2.{line}={other}\n");
        round_trip(&lxc::read(lxc.as_bytes(), "").unwrap());
        let nspawn = format!("[Exec]\nHostname={line}\nEnvironment={other}\nCapability={line}\n[Files]\nBind={other}\nX={line}");
        if let Ok(draft) = nspawn::read(nspawn.as_bytes(), &PathBuf::from(format!("/x/{line}.nspawn")), "") {
            round_trip(&draft);
        }
        let oci = serde_json::json!({
            "ociVersion": "1", "hostname": one, "root": { "path": two }, two.clone(): one,
            "process": { "args": [one, two], "env": [two, format!("A={one}")] },
            "mounts": [{ "type": "bind", "source": one, "destination": two }],
            "linux": { "devices": [{ "path": format!("/dev/{one}") }] },
        });
        round_trip(&oci::read(oci.to_string().as_bytes(), Path::new("/"), "").unwrap());
        let text = format!("BASE= {line}\nNAME= {other}\nLOWER= {line}\nSHARE= {other}\nCABLES= {line}={other}\n");
        let (variables, _) = overlay_boot::read(&Source::new("x", text));
        round_trip(&of_overlay_boot::draft_of(&variables, Path::new("/x"), ""));
    }
}
