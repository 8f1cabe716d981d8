//! `inspect`: all that is known of a subhost, as one JSON document.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::Serialize;
use subhost_net::netns::{self, Netns};
use subhost_net::observe::{Link, Observed};

use super::check::ShownComplaint;
use super::config::{self, ShownConfig};
use super::list::tell_ends;
use super::plan;
use super::shown::{Shown, look};
use super::{Context, need_root, start, unknown};
use crate::args::Devices;
use crate::config::{Loaded, request};
use crate::error::{Context as _, Error};
use crate::layout::Name;
use crate::observe::{self, Purpose};
use crate::plan::Plan;
use crate::report;
use crate::request::Request;
use crate::state::{self, CableRecord, DiskRecord, Record};

/// What `status` shows, and all the rest.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    shown: Shown,
    /// As it was written when it started.
    record: Option<&'a Record>,
    /// What is there of that now.
    observed: Option<Now>,
    configuration: Option<ShownConfig<'a>>,
    /// Of the next boot or start.
    plan: Option<plan::Shown<'a>>,
    /// Why that would be refused.
    complaints: Vec<ShownComplaint>,
}

#[derive(Serialize)]
struct Now {
    /// The namespace that is pinned under its name, if that is its own.
    netns: Option<u64>,
    /// The processes in its network namespace.
    processes: Vec<u32>,
    cables: Vec<NowCable>,
    /// The links inside; null where they cannot be looked at.
    guest_links: Option<Vec<NowLink>>,
    disks: Vec<NowDisk>,
    cgroup: Vec<NowDirectory>,
}

#[derive(Serialize)]
struct NowCable {
    host: String,
    /// The link that has its ifindex, whatever it is called.
    host_end: Option<NowLink>,
    /// The ifindex of its other end, if that is inside.
    guest_ifindex: Option<u32>,
}

#[derive(Serialize)]
struct NowLink {
    ifindex: u32,
    name: String,
    altnames: Vec<String>,
    kind: Option<String>,
    mac: Option<String>,
    mtu: u32,
    up: bool,
    bridge: Option<String>,
    port: Option<NowPort>,
    addresses: Vec<String>,
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "flags, each on its own")]
struct NowPort {
    isolated: bool,
    locked: bool,
    hairpin: bool,
    learning: bool,
    flood_unknown: bool,
    flood_multicast: bool,
    flood_broadcast: bool,
}

#[derive(Serialize)]
struct NowDisk {
    node: String,
    /// Whether its path still leads to the image that is in use.
    image_present: bool,
    /// The file behind its loop device.
    loop_file: Option<String>,
}

#[derive(Serialize)]
struct NowDirectory {
    #[serde(serialize_with = "crate::json::path")]
    path: PathBuf,
    present: bool,
}

/// Shows it. Changes nothing.
pub(super) fn inspect(context: &Context, name: Name) -> Result<u8, Error> {
    need_root("inspect")?;
    let layout = &context.layout;
    let links = Observed::read().step("list the links")?;
    let record = state::read(layout, &name).ok().flatten();
    let mut shown = [look(context, &name, &links)];
    tell_ends(context, &mut shown);
    let [shown] = shown;
    let is_configured = context.config.is_some() || layout.config(&name).is_file();
    if shown.state == "stopped" && !is_configured && !layout.is_tree(&name) {
        return Err(unknown(&name));
    }
    let observed = record.as_ref().map(|record| now(context, record, &links)).transpose()?;
    let is_started = match &record {
        Some(record) => record.command == "start",
        None => !is_configured && layout.is_tree(&name),
    };
    let given = context.config.as_deref();
    let devices = Devices::default();
    let loaded = match (is_started, is_configured) {
        (true, _) => Loaded::of_tree(layout, given, &name, context.how).map(Some),
        (false, true) => Loaded::of(layout, given, &name, &devices, context.how).map(Some),
        (false, false) => Ok(None),
    };
    let mut complaints = Vec::new();
    let mut keep = |error: Error| complaints.extend(error.into_complaints());
    let loaded = loaded.map_err(&mut keep).ok().flatten();
    let readable = loaded.as_ref().filter(|loaded| loaded.config.is_some());
    let plan = readable.and_then(|loaded| {
        let request = match is_started {
            true => start::request(context, name, loaded),
            false => request(loaded, name, devices, None),
        };
        request.and_then(|request| make(context, &request)).map_err(&mut keep).ok()
    });
    let configured =
        loaded.as_ref().map(|loaded| config::shown(loaded, loaded.config.as_ref())).transpose()?;
    report::print_json(&Document {
        shown,
        record: record.as_ref(),
        observed,
        configuration: configured,
        plan: plan.as_ref().map(plan::shown),
        complaints: complaints.into_iter().map(ShownComplaint::from).collect(),
    })?;
    Ok(0)
}

fn make(context: &Context, request: &Request) -> Result<Plan, Error> {
    let found = observe::Observed::of(request, &context.layout, Purpose::Look)
        .step("look at what the request names")?;
    Plan::make(request, &found, &context.layout).map_err(Error::Refused)
}

/// What the kernel has of what was made.
fn now(context: &Context, record: &Record, links: &Observed) -> Result<Now, Error> {
    let namespaces = netns::list(&context.layout.netns_dir).step("list the network namespaces")?;
    let processes = namespaces.into_iter().find(|netns| netns.inode == record.netns_inode);
    // Only what has its inode is its own, whatever the name leads to.
    let pinned = Netns::open_pinned(&context.layout.netns_dir, &record.name).ok();
    let netns = pinned.filter(|netns| netns.inode() == record.netns_inode);
    let id = netns.as_ref().and_then(|netns| netns.id_here().ok().flatten());
    // What is inside need not be there a moment later.
    let inside = netns.as_ref().and_then(|netns| netns.run_inside(Observed::read).ok()?.ok());
    let cable = |cable: &CableRecord| {
        let end = links.by_index(cable.host_ifindex);
        let leads_inside = |end: &&Link| id.is_some() && end.peer_netnsid == id;
        NowCable {
            host: cable.host.clone(),
            host_end: end.map(|end| NowLink::of(end, links)),
            guest_ifindex: end.filter(leads_inside).and_then(|end| end.peer_index),
        }
    };
    Ok(Now {
        netns: netns.map(|netns| netns.inode()),
        processes: processes.map(|netns| netns.processes).unwrap_or_default(),
        cables: record.cables.iter().map(cable).collect(),
        guest_links: inside
            .map(|inside| inside.links.iter().map(|link| NowLink::of(link, &inside)).collect()),
        disks: record.disks.iter().map(NowDisk::of).collect(),
        cgroup: record
            .cgroup
            .directories
            .iter()
            .map(|it| NowDirectory {
                path: it.path.clone(),
                present: fs::metadata(&it.path).is_ok_and(|meta| meta.ino() == it.inode),
            })
            .collect(),
    })
}

impl NowLink {
    fn of(link: &Link, links: &Observed) -> NowLink {
        let controller = link.controller.and_then(|controller| links.by_index(controller));
        NowLink {
            ifindex: link.index,
            name: link.name.clone(),
            altnames: link.altnames.clone(),
            kind: link.kind.clone(),
            mac: link.mac.map(|mac| mac.to_string()),
            mtu: link.mtu,
            up: link.up,
            bridge: controller.map(|controller| controller.name.clone()),
            port: link.port.map(|port| NowPort {
                isolated: port.isolated,
                locked: port.locked,
                hairpin: port.hairpin,
                learning: port.learning,
                flood_unknown: port.flood_unknown,
                flood_multicast: port.flood_multicast,
                flood_broadcast: port.flood_broadcast,
            }),
            addresses: links.addresses_of(link.index).map(|address| address.to_string()).collect(),
        }
    }
}

impl NowDisk {
    fn of(disk: &DiskRecord) -> NowDisk {
        let id = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let file = |number: u32| {
            fs::read_to_string(format!("/sys/block/loop{number}/loop/backing_file"))
                .ok()
                .map(|path| path.trim_end_matches('\n').to_owned())
        };
        NowDisk {
            node: disk.node.clone(),
            image_present: fs::metadata(&disk.image)
                .is_ok_and(|meta| id(meta) == (disk.image_device, disk.image_inode)),
            loop_file: disk.loop_number.and_then(file),
        }
    }
}
