//! `report`: what was used in a time, from the samples that are kept.

use serde::Serialize;

use super::Context;
use super::collect::usual_store;
use crate::accounting::args::{self, ReportFormat};
use crate::accounting::columns::COLUMNS;
use crate::accounting::html;
use crate::accounting::ledger::{Account, HostSeen, Ledger};
use crate::accounting::shown::csv_text;
use crate::accounting::store::Store;
use crate::accounting::time::Time;
use crate::error::{Complaint, Context as _, Error};
use crate::report;

/// How many lines that were passed over are named.
const NAMED: usize = 10;

/// A report as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    from: Option<String>,
    to: String,
    hosts: Vec<HostSeen>,
    accounts: Vec<Account>,
    /// Places in the store of lines that say nothing.
    passed_over: Vec<String>,
}

/// Shows it.
pub(super) fn report(context: &Context, args: &args::Report) -> Result<u8, Error> {
    let format = match (args.format, context.json) {
        (None | Some(ReportFormat::Json), true) => ReportFormat::Json,
        (Some(_), true) => {
            return Err(Error::refused(Complaint::new("--json and another --format exclude each other")));
        }
        (format, false) => format.unwrap_or(ReportFormat::Table),
    };
    let to = args.to.unwrap_or_else(Time::now);
    if args.from.is_some_and(|from| from >= to) {
        return Err(Error::refused(Complaint::new("report: --from is not before --to")));
    }
    let path = args.store.clone().unwrap_or_else(|| usual_store(&context.layout));
    let step = || format!("read the store {}", path.display());
    let store = match Store::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let complaint = Complaint::new(format!("store {}: is not there", path.display()));
            return Err(Error::refused(complaint.hint("subhostctl collect makes it")));
        }
        store => store.step(step())?,
    };
    let mut ledger = Ledger::new(args.from.unwrap_or(Time(-1)), to);
    let passed = store.read(args.from, |line| ledger.take(&line)).step(step())?;
    for place in passed.over.iter().take(NAMED) {
        report::note(context.quiet, &format!("{place}: is torn or no sample, and is passed over"));
    }
    if let Some(more @ 1..) = passed.over.len().checked_sub(NAMED) {
        report::note(context.quiet, &format!("{more} more lines are passed over"));
    }
    let (accounts, hosts) = ledger.finish();
    let from = args.from.map(Time::text);
    let shown = Shown { from, to: to.text(), hosts, accounts, passed_over: passed.over };
    match format {
        ReportFormat::Json => report::print_json(&shown)?,
        ReportFormat::Csv => report::print(&csv(&shown.accounts))?,
        ReportFormat::Html => {
            let from = shown.from.as_deref().unwrap_or("the beginning");
            report::print(&html::page(from, &shown.to, &shown.accounts, &shown.hosts))?;
        }
        ReportFormat::Table => report::print(&table(context, &shown.accounts))?,
    }
    Ok(0)
}

/// As RFC 4180 has it, but for the ends of lines.
fn csv(accounts: &[Account]) -> String {
    let fields =
        ["host", "kind", "name", "seconds"].into_iter().chain(COLUMNS.iter().map(|column| column.field));
    let mut text = fields.collect::<Vec<_>>().join(",") + "\n";
    for account in accounts {
        let own = [
            csv_text(&account.host),
            account.kind.word().to_owned(),
            csv_text(&account.name),
            account.seconds.to_string(),
        ];
        let cells = own.into_iter().chain(COLUMNS.iter().map(|column| column.exact(account)));
        text += &(cells.collect::<Vec<_>>().join(",") + "\n");
    }
    text
}

fn table(context: &Context, accounts: &[Account]) -> String {
    let row = |account: &Account| {
        let own = [account.host.clone(), account.kind.word().to_owned(), account.name.clone()];
        own.into_iter().chain(COLUMNS.iter().map(|column| column.shown(account))).collect()
    };
    let rows: Vec<Vec<String>> = accounts.iter().map(row).collect();
    let header = ["HOST", "KIND", "NAME"].into_iter().chain(COLUMNS.iter().map(|column| column.head));
    report::table(context.colour, &header.collect::<Vec<_>>(), &rows)
}
