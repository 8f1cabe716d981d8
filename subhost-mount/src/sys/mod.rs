//! The system calls that rustix lacks.
