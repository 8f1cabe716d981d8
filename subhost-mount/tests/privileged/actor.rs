//! This program once more, as a process of its own that a case plays with.

use std::env;
use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use subhost_mount::bind::bind;
use subhost_mount::overlay::{Layer, Upper, merge};
use subhost_mount::{
    Access, ByteRange, Device, FileSystem, Image, LoopDevice, LoopOptions, MountAttributes, Staging,
};

use crate::scene;

/// Says which part is played.
const PART: &str = "SUBHOST_MOUNT_ACTOR";

/// Starts this program in a part. Its standard input ends with the child.
pub(crate) fn start(part: &str, directory: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .env(PART, part)
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// Plays the part that this process was started in, if it was.
pub(crate) fn plays() -> bool {
    let Ok(part) = env::var(PART) else { return false };
    let directory = PathBuf::from(env::args_os().nth(1).unwrap());
    match part.as_str() {
        "attach" => attach(&directory),
        "hold" => hold(&directory),
        "mount" => mount(&directory),
        "claim" => claim(&directory),
        "pass" => pass(&directory),
        other => panic!("no such part: {other}"),
    }
    true
}

fn say(what: &str) {
    let mut output = io::stdout().lock();
    writeln!(output, "{what}").unwrap();
    output.flush().unwrap();
}

/// How many loop devices one attaches.
pub(crate) const ATTACHED: u32 = 40;

/// Attaches many loop devices at once, says which, and waits for the end of its input.
fn attach(directory: &Path) {
    let image = Image::open(&directory.join("disk.raw"), Access::ReadWrite).unwrap();
    let devices: Vec<LoopDevice> = thread::scope(|scope| {
        let attach = |sector: u32| {
            let range = ByteRange { start: u64::from(sector) * 512, len: 512 };
            LoopDevice::attach(&image, range, &LoopOptions::default()).unwrap()
        };
        let threads: Vec<_> = (0..ATTACHED).map(|sector| scope.spawn(move || attach(sector))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let numbers: Vec<String> = devices.iter().map(|device| device.number().to_string()).collect();
    say(&numbers.join(" "));
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Mounts partition 1, or all where there is none, of the image that `image` leads to, starts a process in the namespace
/// of the mount, says which, and waits for the end of its input.
fn mount(directory: &Path) {
    let image = Image::open(&fs::read_link(directory.join("image")).unwrap(), Access::ReadWrite).unwrap();
    let number = u32::from(!image.partition_table().unwrap().partitions.is_empty());
    let device = Device::attach(&image, image.range(number).unwrap(), &LoopOptions::default()).unwrap();
    let at = directory.join("live");
    let staging = Staging::new().unwrap();
    let (mut sleep, device) = staging.run(move || {
        device.mount(FileSystem::new("ext4").source(device.path())).unwrap().attach_at(&at).unwrap();
        let quiet = Stdio::null;
        let sleep = Command::new("sleep").arg("1000").stdout(quiet()).stderr(quiet()).spawn().unwrap();
        (sleep, device)
    });
    say(&sleep.id().to_string());
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    drop(device);
}

/// What [`pass`] says, one by one, and then from the start.
pub(crate) const PASSING: [&str; 4] = ["claimed", "attached", "mounted", "freed"];

/// Takes and leaves the block device that `image` leads to, without end.
fn pass(directory: &Path) {
    let node = fs::read_link(directory.join("image")).unwrap();
    loop {
        // Of the last round the kernel may still hold something.
        let Ok(image) = Image::open(&node, Access::ReadWrite) else { continue };
        say(PASSING[0]);
        let device = Device::attach(&image, image.range(0).unwrap(), &LoopOptions::default()).unwrap();
        say(PASSING[1]);
        let mount = device.mount(FileSystem::new("ext4").source(&node)).unwrap();
        say(PASSING[2]);
        drop((mount, device, image));
        say(PASSING[3]);
    }
}

/// Claims the block device that `image` leads to, as a program that knows nothing of us, and waits.
fn claim(directory: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let claim = || fs::File::options().read(true).custom_flags(libc::O_EXCL).open(directory.join("image"));
    // Children of those who had it last may share the claim for an instant.
    scene::wait_until("the device is free", || claim().is_ok());
    let claimed = claim().unwrap();
    say("claimed");
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(claimed);
}

/// What [`hold`] says, one by one, and then from the start.
pub(crate) const STEPS: [&str; 9] = [
    "locked",
    "attached",
    "mounted",
    "base attached",
    "base mapped",
    "kept",
    "thrown away",
    "bound",
    "freed",
];

/// Takes and leaves all that this crate can hold, without end.
fn hold(directory: &Path) {
    loop {
        // Of the last round the kernel may still hold something.
        let Ok(image) = Image::open(&directory.join("disk.raw"), Access::ReadWrite) else { continue };
        say(STEPS[0]);
        let device = LoopDevice::attach(&image, image.range(1).unwrap(), &LoopOptions::default()).unwrap();
        say(STEPS[1]);
        let staging = Staging::new().unwrap();
        let directory = directory.to_owned();
        staging.run(move || {
            let place = |name: &str| directory.join(name);
            let system = FileSystem::new("ext4").source(device.path()).mount().unwrap();
            system.attach_at(&place("disk")).unwrap();
            for name in ["upper", "work"] {
                fs::create_dir_all(place("disk").join(name)).unwrap();
            }
            say(STEPS[2]);
            let base = Image::open(&place("base/disk.raw"), Access::ReadOnly).unwrap();
            let options = LoopOptions { read_only: true, ..LoopOptions::default() };
            let base = LoopDevice::attach(&base, base.range(1).unwrap(), &options).unwrap();
            say(STEPS[3]);
            let base = FileSystem::new("ext4").source(base.path()).flag("ro").mount().unwrap();
            base.attach_at(&place("live")).unwrap();
            // Its maker has copies of our fds for a moment.
            let users = scene::user_namespace();
            let lower = || vec![Layer::open(&place("live")).unwrap().idmapped(users.as_fd()).unwrap()];
            let below = |name: &str| Layer::open(&place("disk").join(name)).unwrap();
            say(STEPS[4]);
            let upper = Upper::Kept { upper: below("upper"), work: below("work") };
            let kept = merge(lower(), upper, "kept", MountAttributes::NODEV).unwrap();
            kept.attach_at(&place("kept")).unwrap();
            let number = std::process::id();
            fs::write(place("kept").join(format!("file{number}")), vec![1; 10_000]).unwrap();
            say(STEPS[5]);
            let upper = Upper::Ephemeral { size_bytes: 1 << 20 };
            let thrown_away = merge(lower(), upper, "thrown away", MountAttributes::NODEV).unwrap();
            thrown_away.attach_at(&place("thrown-away")).unwrap();
            fs::write(place("thrown-away/file"), vec![1; 10_000]).unwrap();
            say(STEPS[6]);
            let bound = bind(&directory, true).unwrap();
            bound.set_attributes(MountAttributes::RDONLY, MountAttributes::empty(), true).unwrap();
            bound.attach_at(&place("bound")).unwrap();
            say(STEPS[7]);
        });
        drop((staging, image));
        say(STEPS[8]);
    }
}
