//! The DOS partition table in the master boot record, with its chain of logical partitions.
