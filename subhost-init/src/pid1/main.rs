//! The static PID 1 of a subhost, a program of its own: `build.rs` compiles it without std, libc and allocator.
//!
//! ```text
//! run         the loop: waits for events, performs effects
//! spawn       starts the scripts and the payload
//! fifo        /run/initctl
//! records     /run/utmp
//! sys         entry and system calls by hand; all that is unsafe
//! ```
//!
//! The other modules need only `core`, decide everything, and are part of the library too, where they are tested.
#![no_std]
#![no_main]
#![allow(dead_code, reason = "of what is shared with the library, this program uses its own side")]
#![deny(unsafe_code, unsafe_op_in_unsafe_fn)]

mod command;
mod config;
mod environment;
mod fifo;
mod initctl;
mod machine;
mod message;
mod records;
mod run;
mod spawn;
#[allow(unsafe_code)]
mod sys;
mod utmp;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    run::panicked(info.location())
}
