//! The static PID 1 program.
