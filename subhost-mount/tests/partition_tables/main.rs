//! Partition tables without root: those that lie, and what holds of all.

mod hostile;
mod properties;
mod tables;
