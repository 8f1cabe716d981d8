//! The library behind subhostctl.
