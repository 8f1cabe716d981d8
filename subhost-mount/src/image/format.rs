//! Images that are not raw, known by their first bytes, so that none is taken for a disk.

use crate::image::Image;
use crate::{Error, Result};

/// Name, place and bytes of each.
const FORMATS: [(&str, usize, &[u8]); 6] = [
    ("qcow2", 0, b"QFI\xfb"),
    ("QED", 0, b"QED\0"),
    ("VMDK", 0, b"KDMV"),
    ("VHDX", 0, b"vhdxfile"),
    ("VHD", 0, b"conectix"),
    ("VDI", 0x40, b"\x7f\x10\xda\xbe"),
];

pub(super) fn refuse_foreign(image: &Image) -> Result<()> {
    let mut head = [0; 72];
    let read =
        image.read_at(&mut head, 0).map_err(|source| Error::system("read image", image.path(), source))?;
    for (format, place, magic) in FORMATS {
        let bytes = head[..read].get(place..);
        if bytes.is_some_and(|bytes| bytes.starts_with(magic)) {
            let path = image.path().display();
            return Err(Error::ForeignFormat {
                image: image.path().to_owned(),
                format,
                hint: format!("qemu-img convert -O raw {path} {path}.raw"),
            });
        }
    }
    Ok(())
}
