//! Words and messages exchanged with PID 1.
