//! The four libraries together: boots the system of a configuration, with `DISKS` and `BRIDGES`, and waits for its end.
//! `boot NAME CONFIG`. `subhostctl boot` does the same, and has a record, a console, limits and much more beside it.
use std::os::fd::AsFd;
use std::path::Path;

use subhost_config::schema::{Environment, PartitionChoice, SubhostConfig};
use subhost_config::{Evaluator, load, parse};
use subhost_init::handoff::Pid1Args;
use subhost_init::launch::{Launch, Program};
use subhost_init::userns::{IdMap, UserNamespace};
use subhost_mount::fstype::{AllowedTypes, probe};
use subhost_mount::rootdir::MountPoint;
use subhost_mount::{Access, Device, FileSystem, Image, LoopOptions, MountAttributes, Staging};
use subhost_net::{bridge, cable, cable::Cable, mac::Mac, name, netns::Netns};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
const IDS: IdMap = IdMap { first: 1_879_048_192, count: 65_536 };

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, file] = &words[..] else { return Err("usage: boot NAME CONFIG".into()) };
    let (variables, _) = Evaluator::new().run(&parse(&load(Path::new(file))?.source).0);
    let (config, problems) = SubhostConfig::from_variables(&variables, &Environment::empty());
    let config = config.ok_or_else(|| format!("{problems:?}"))?;

    let users = UserNamespace::create(IDS)?;
    let network = Netns::create(Some(users.as_fd()))?;
    let cables = (0..).zip(&config.cables.value).map(|(index, spec)| -> subhost_net::Result<Cable> {
        let guest_mac = spec.mac.map_or_else(|| Mac::stable(b"example", name, index), Mac::from);
        let port = spec.bridge.as_deref().map(bridge::find).transpose()?.map(Into::into);
        let guest_name = format!("eth{index}").parse()?;
        let name::HostName { name: host_name, altname } = name::host_end(name, index)?;
        Ok(Cable { host_name, altname, host_mac: None, guest_name, guest_mac, mtu: None, port })
    });
    cable::create_all(network.as_fd(), &cables.collect::<Result<Vec<_>, _>>()?)?;
    let disk = config.disks.value.first().ok_or("DISKS is empty")?;
    let PartitionChoice::Number(number) = disk.partition else { return Err("a partition's number".into()) };
    let image = Image::open(&disk.image, Access::ReadWrite)?;
    let range = image.range(number)?;
    let found = probe(image.reader(range), 0)?.ok_or("no file system that is known")?;
    let device = Device::attach(&image, range, &LoopOptions::default())?;
    let system = FileSystem::of_image(&found, device.path(), &AllowedTypes::default())?;
    let (hostname, staging) = (name.clone(), Staging::new()?);
    // Mounted where nobody else sees it, and the guest's namespaces are made from there.
    let mut guest = staging.run(move || -> Outcome<_> {
        let root = device.mount(system.attributes(MountAttributes::NODEV))?;
        root.idmap(users.as_fd())?;
        root.attach_at(Path::new("/mnt"))?;
        let run = root.root()?.mount_point(Path::new("run"), MountPoint::Directory)?;
        let owner = IDS.first.to_string();
        FileSystem::new("tmpfs").option("uid", &owner).option("gid", &owner).mount()?.attach(run.as_fd())?;
        let pid1 = Program::Subhost(Pid1Args::default().to_argv());
        let launch = Launch::new(Path::new("/mnt")).user_namespace(users.as_fd()).hostname(&hostname);
        Ok(launch.network_namespace(network.as_fd()).program(pid1).start()?.go()?)
    })?;
    println!("{name} runs, its PID 1 is {}", guest.pid());
    guest.wait().map(|ended| println!("{name} has ended: {ended:?}")).map_err(Into::into)
}
