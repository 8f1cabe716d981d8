//! The GUID partition table.
