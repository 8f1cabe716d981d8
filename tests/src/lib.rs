//! What the integration tests are made of: a host in namespaces of its own, witnesses of what a guest does, and
//! the check that nothing is left behind. It knows the program only as a binary that it runs.
#![deny(unsafe_code)]

pub mod archive;
pub mod canary;
pub mod case;
pub mod enemy;
pub mod fixture;
pub mod guest;
pub mod host;
pub mod isolate;
pub mod leak;
pub mod probe;
pub mod program;
pub mod random;
pub mod size;
pub mod stepper;
pub mod sys;
pub mod wire;
