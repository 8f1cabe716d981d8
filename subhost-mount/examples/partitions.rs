//! Lists the partitions of an image, with the file system in each: `partitions IMAGE`.

use std::path::Path;
use std::process::ExitCode;

use subhost_mount::{Image, Result, fstype};

fn main() -> ExitCode {
    let Some(image) = std::env::args_os().nth(1) else {
        eprintln!("usage: partitions IMAGE");
        return ExitCode::from(2);
    };
    match list(Path::new(&image)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("partitions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list(path: &Path) -> Result<()> {
    let image = Image::open_unlocked(path)?;
    let table = image.partition_table()?;
    println!("{:?}, sectors of {} bytes, {} bytes in all", table.scheme, table.sector_size, table.len_bytes);
    for note in &table.notes {
        println!("note: {note}");
    }
    println!("{:>3} {:>14} {:>14}  {:<10} UUID", "", "START", "BYTES", "HOLDS");
    for index in std::iter::once(0).chain(table.partitions.iter().map(|partition| partition.index)) {
        // An extended partition has no range of its own.
        let Ok(range) = table.find(index) else { continue };
        let (kind, uuid) = match fstype::probe(image.reader(range), 0)? {
            Some(found) => (found.kind, found.uuid.unwrap_or_default()),
            None => ("-".to_owned(), String::new()),
        };
        println!("{index:>3} {:>14} {:>14}  {kind:<10} {uuid}", range.start, range.len);
    }
    Ok(())
}
