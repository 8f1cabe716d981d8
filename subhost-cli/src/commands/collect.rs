//! `collect`: keeps samples of this host, or of several.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Context, need_root};
use crate::accounting::args;
use crate::accounting::look::look;
use crate::accounting::remote::RemoteHost;
use crate::accounting::sample::{Kind, Sample};
use crate::accounting::store::Store;
use crate::accounting::time::Time;
use crate::error::{Complaint, Context as _, Error};
use crate::inventory::{Host, Inventory};
use crate::layout::{Layout, Name};
use crate::lock::make_private_dir;
use crate::report;

/// How much earlier than the last sample one may have ended, in seconds, as clocks differ. That it is told twice does no harm.
const CLOCKS: i64 = 60;

/// The store that is used where none is named.
pub(super) fn usual_store(layout: &Layout) -> PathBuf {
    layout.log_dir.join("usage")
}

/// Takes samples.
pub(super) fn collect(context: &Context, args: &args::Collect) -> Result<u8, Error> {
    let layout = &context.layout;
    let is_local = args.local || args.hosts.is_empty();
    if is_local {
        need_root("collect")?;
    }
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut names: Vec<&str> = args.hosts.iter().map(RemoteHost::name).collect();
    names.extend(is_local.then_some(&*own));
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|two| two[0] == two[1]) {
        let complaint = Complaint::new(format!("collect: {} is asked twice", twice[0]));
        return Err(Error::refused(complaint.hint("its samples would be taken for those of one host")));
    }
    let path = args.store.clone().unwrap_or_else(|| usual_store(layout));
    let step = || format!("open the store {}", path.display());
    if args.store.is_none() {
        make_private_dir(&layout.log_dir).step(step())?;
    }
    let mut store = Store::create(&path).step(step())?;
    store.max_bytes = args.max_size << 20;
    store.keep = args.keep.and_then(|keep| usize::try_from(keep).ok());
    let mut sources: Vec<Source<'_>> = args.hosts.iter().map(|host| Source::new(Some(host))).collect();
    sources.extend(is_local.then(|| Source::new(None)));
    let mut next = Instant::now();
    for number in 1.. {
        let status = round(context, &mut sources, &store, &path, args.inventory.as_deref());
        if args.count == Some(number) {
            return Ok(status);
        }
        next = (next + Duration::from_secs(args.every)).max(Instant::now());
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(0)
}

/// Where samples come from.
struct Source<'a> {
    /// Another host than this one.
    host: Option<&'a RemoteHost>,
    before: Option<Sample>,
}

/// Takes a sample of each at the same time. What fails is told.
fn round(
    context: &Context,
    sources: &mut [Source<'_>],
    store: &Store,
    path: &Path,
    inventory: Option<&Path>,
) -> u8 {
    let mut status = 0;
    let mut failed = |error: Error| {
        report::error(&error);
        status = 1;
    };
    let taken: Vec<Result<Sample, Error>> = std::thread::scope(|scope| {
        let take = |source| scope.spawn(move || Source::take(source, &context.layout, store));
        let threads: Vec<_> = sources.iter_mut().map(take).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err("its thread has panicked").step("take a sample"))
        };
        threads.into_iter().map(join).collect()
    });
    let seen =
        sources.iter().zip(&taken).filter_map(|(source, taken)| Some((source.host, taken.as_ref().ok()?)));
    if let Some(Err(error)) = inventory.map(|file| note_hosts(file, seen)) {
        failed(error);
    }
    for sample in taken {
        let added = sample.and_then(|sample| {
            store.append(&sample.into_lines()).step(format!("add to the store {}", path.display()))
        });
        match added {
            Ok(false) => {}
            Ok(true) => {
                let line = format!("{}: its last line was torn, and is passed over", path.display());
                report::note(context.quiet, &line);
            }
            Err(error) => failed(error),
        }
    }
    status
}

/// Brings a file up to date that says which host has which subhosts. Of hosts that were not seen it keeps what it says.
fn note_hosts<'a>(
    file: &Path,
    seen: impl Iterator<Item = (Option<&'a RemoteHost>, &'a Sample)>,
) -> Result<(), Error> {
    let step = || format!("keep the inventory {}", file.display());
    let mut inventory = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Inventory::default(),
        text => Inventory::parse(&text.step(step())?).step(step())?,
    };
    for (host, sample) in seen {
        let host = host.map_or(&*sample.host, RemoteHost::destination);
        // What another host tells may be anything.
        let running = sample.rows.iter().filter(|row| row.kind == Kind::Subhost && row.ended.is_none());
        let names = running.filter_map(|row| row.name.parse::<Name>().ok()).collect();
        inventory.set(Host::new(host).step(step())?, names);
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    // Left by one that was killed.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).step(step()),
        _ => {}
    }
    let mut new = File::options().write(true).create_new(true).mode(0o644).open(&beside).step(step())?;
    new.write_all(inventory.text().as_bytes()).and_then(|()| new.sync_all()).step(step())?;
    fs::rename(&beside, file).step(step())
}

impl<'a> Source<'a> {
    fn new(host: Option<&'a RemoteHost>) -> Source<'a> {
        Source { host, before: None }
    }

    fn take(&mut self, layout: &Layout, store: &Store) -> Result<Sample, Error> {
        let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = self.host.map_or(&*own, RemoteHost::name);
        let step = || format!("take a sample of {name}");
        let last = match &self.before {
            Some(before) => Time::parse(&before.time),
            None => store.last_time(name).step(step())?,
        };
        let since = last.map(|time| time.minus(CLOCKS));
        let mut sample = match self.host {
            Some(host) => host.look(since).step(step())?,
            None => look(layout, since),
        };
        sample.find_shares(self.before.as_ref());
        self.before = Some(sample.clone());
        Ok(sample)
    }
}
