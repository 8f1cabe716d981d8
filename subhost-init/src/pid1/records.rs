//! Writes the records of init to `/run/utmp`.

use super::sys::{self, Result};
use super::utmp::{LENGTH, Record};

/// A hostile guest may make the file as long as it likes; init's records stand at its beginning.
const LOOKED_AT: usize = 512;

/// Puts a record in the place of the one of its type, else behind the last.
pub(crate) fn write(record: Record) -> Result<()> {
    let fd = sys::open(c"/run/utmp", Some(0o664))?;
    let mut offset = 0;
    let mut old = [0; LENGTH];
    for _ in 0..LOOKED_AT {
        if sys::pread(fd.raw(), &mut old, offset)? < LENGTH || record.replaces(&old) {
            break;
        }
        offset += LENGTH;
    }
    let [seconds, nanoseconds] = sys::realtime();
    let microseconds = u32::try_from(nanoseconds / 1_000).unwrap_or(0);
    sys::pwrite(fd.raw(), &record.encode(&sys::release(), seconds, microseconds), offset).map(drop)
}
