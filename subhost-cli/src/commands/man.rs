//! `man`: manual pages, from what `--help` says.

use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::commands::described;
use crate::error::{Complaint, Context, Error};
use crate::report;

/// Commands of system administration.
const SECTION: &str = "8";
/// When what the pages tell of was last released.
const DATE: &str = "2026-11-26";

/// Prints the page of a command by its words, or of the program.
pub(super) fn man(words: &[String]) -> Result<u8, Error> {
    let mut command = described();
    // The names of subcommands are made by this.
    command.build();
    for (index, word) in words.iter().enumerate() {
        let Some(found) = command.find_subcommand(word) else {
            let what = format!("man: there is no command {}", words[..=index].join(" "));
            return Err(Error::refused(Complaint::new(what).hint("subhostctl help lists them")));
        };
        command = found.clone();
    }
    let page = page(command).step("write the manual page")?;
    // Between two breaks it puts an empty line, which is one itself.
    report::print(&String::from_utf8_lossy(&page).replace("\n.br\n\n.br\n", "\n.sp\n")).map(|()| 0)
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let notes = command.get_after_help().map(ToString::to_string);
    let has_subcommands = command.has_subcommands();
    let title = command.get_display_name().unwrap_or(command.get_name()).to_uppercase();
    let source = concat!("subhost ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).title(title).section(SECTION).date(DATE).source(source).manual("Subhosts");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_subcommands {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(notes) = notes {
        // As it is: filled, its examples would become one line.
        let mut roff = Roff::new();
        roff.control("SH", ["NOTES"]).control("nf", []);
        for line in notes.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []).to_writer(&mut page)?;
    }
    Ok(page)
}
