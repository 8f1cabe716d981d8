//! An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// The allocator of the system, counted.
pub(crate) struct Counting;

fn add(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(held, Relaxed);
    CALLS.fetch_add(1, Relaxed);
    TOTAL.fetch_add(bytes, Relaxed);
}

// SAFETY: all is handed on to the allocator of the system, as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps to the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps to the rules of `dealloc`, and the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What a piece of work allocates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// The most bytes that were held at once, beyond those before.
    pub(crate) peak: usize,
    /// How often memory was asked for.
    pub(crate) calls: usize,
    #[allow(dead_code, reason = "the benchmark does not show it")]
    /// The bytes that were asked for, whether they were given back or not.
    pub(crate) total: usize,
}

/// Does the work and counts. Nothing else may run meanwhile.
pub(crate) fn cost_of<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (held, calls, total) = (HELD.load(Relaxed), CALLS.load(Relaxed), TOTAL.load(Relaxed));
    PEAK.store(held, Relaxed);
    let result = work();
    let cost = Cost {
        peak: PEAK.load(Relaxed) - held,
        calls: CALLS.load(Relaxed) - calls,
        total: TOTAL.load(Relaxed) - total,
    };
    (result, cost)
}
