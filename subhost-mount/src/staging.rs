//! A mount namespace of our own, held by a thread, where mounts are put together.

use crate::Result;

/// A thread in a fresh, private mount namespace.
#[derive(Debug)]
pub struct Staging {}

impl Staging {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the namespace cannot be made.
    pub fn new() -> Result<Staging> {
        unimplemented!()
    }

    /// Runs `job` on the thread and returns what it returns. A panic in it continues in the caller.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let _ = job;
        unimplemented!()
    }
}
