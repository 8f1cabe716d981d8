//! Every pair of state and event, and the ways through.
use super::*;
