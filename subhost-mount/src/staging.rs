//! A mount namespace of our own, held by a thread, where mounts are put together.

use std::any::Any;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rustix::fs::Mode;
use rustix::mount::MountPropagationFlags;

use crate::{Error, Result, sys};

/// What the thread runs is small: some system calls, and a launch.
const STACK_BYTES: usize = 256 * 1024;

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a fresh mount namespace that is a private copy of the caller's.
///
/// What is mounted there is seen nowhere else. The namespace dies with the thread, unless a process started
/// from it stays, or one of its mounts is held by fd. Working directory and umask (0, so that modes come out
/// as they are given) are the thread's own. The file descriptors are those of the whole process.
///
/// ```no_run
/// use std::path::Path;
/// use subhost_mount::{FileSystem, Staging};
///
/// let staging = Staging::new()?;
/// staging.run(|| FileSystem::new("tmpfs").option("mode", "0755").mount()?.attach_at(Path::new("/mnt")))?;
/// # Ok::<(), subhost_mount::Error>(())
/// ```
#[derive(Debug)]
pub struct Staging {
    /// `None` only while dropping, which ends the thread's loop.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Staging {
    /// Starts the thread. Needs `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// [`Error::System`] when the thread or its namespace cannot be made.
    pub fn new() -> Result<Staging> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("staging".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let made = make_namespace();
                let failed = made.is_err();
                // The caller waits for it, so that it is there.
                let _ = ready.send(made);
                if !failed {
                    queue.into_iter().for_each(|job| job());
                }
            })
            .map_err(|source| Error::system("start thread", "staging", source))?;
        let staging = Staging { jobs: Some(jobs), thread: Some(thread) };
        let gone = || Error::system("start thread", "staging", io::Error::other("it ended at once"));
        is_ready.recv().map_err(|_| gone())??;
        Ok(staging)
    }

    /// Runs `job` on the thread and returns what it returns. A panic in it continues in the caller.
    ///
    /// A job that calls `run` itself just goes on.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        if self.thread.as_ref().is_some_and(|thread| thread.thread().id() == thread::current().id()) {
            return job();
        }
        let (answer, answered) = mpsc::channel::<Result<T, Box<dyn Any + Send>>>();
        let job = move || {
            let result = panic::catch_unwind(AssertUnwindSafe(job));
            let _ = answer.send(result);
        };
        let jobs = self.jobs.as_ref().expect("only dropping takes it");
        jobs.send(Box::new(job)).expect("the thread takes jobs until the sender is dropped");
        match answered.recv().expect("every job answers, as its panics are caught") {
            Ok(value) => value,
            Err(payload) => panic::resume_unwind(payload),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // Its panics were caught job by job.
            let _ = thread.join();
        }
    }
}

fn make_namespace() -> Result<()> {
    sys::unshare_mount_namespace()
        .map_err(|source| Error::system("unshare mount namespace of", "thread staging", source))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)
        .map_err(|errno| Error::system("make propagation private below", "/", errno))?;
    rustix::process::umask(Mode::empty());
    Ok(())
}
