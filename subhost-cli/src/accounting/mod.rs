//! Who uses how much of this host, and of others: looked at, collected, reported.
//!
//! [`look`] takes a [`Sample`](sample::Sample) of counters that only rise, the [`store`] keeps samples, and the [`ledger`] makes sums of
//! them. Nothing of it takes part in a boot; what a subhost has used in the end is noted by its supervisor ([`ended`]).

pub mod adopt;
pub mod args;
pub mod columns;
pub mod ended;
pub mod html;
pub mod ledger;
pub mod look;
pub mod machine;
pub mod network;
pub mod process;
pub mod remote;
pub mod sample;
pub mod shown;
pub mod store;
pub mod time;
pub mod vm;
