//! Guests and commands on terminals and pipes, relayed.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use subhost_init::console::{Pipes, Pty, relay_pipes, relay_terminal, set_window_size};
use subhost_init::enter::Enter;
use subhost_init::launch::Ended;

use crate::Test;
use crate::stage::{IDLE, IdleGuest, on_stage, read_all, strings};

pub(crate) const TESTS: [Test; 4] = [
    ("a_guest_has_a_controlling_terminal_of_its_own", a_guest_has_a_controlling_terminal_of_its_own),
    ("pipes_keep_output_and_error_apart_and_pass_the_end_on", pipes_keep_output_and_error_apart),
    ("a_guest_survives_a_reader_that_leaves", a_guest_survives_a_reader_that_leaves),
    ("a_background_writer_does_not_hold_the_relay", a_background_writer_does_not_hold_the_relay),
];

fn null() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

fn stdio_of(slave: OwnedFd) -> [OwnedFd; 3] {
    [slave.try_clone().unwrap(), slave.try_clone().unwrap(), slave]
}

fn a_guest_has_a_controlling_terminal_of_its_own() {
    on_stage(|stage| {
        let outer = Pty::open().unwrap();
        set_window_size(outer.master.as_fd(), 33, 111).unwrap();
        let pty = Pty::open().unwrap();
        let script = "test -t 0 && echo terminal; read line; stty size; echo got $line; exit 3";
        let mut guest = stage
            .script(script)
            .stdio(stdio_of(pty.slave))
            .controlling_terminal(true)
            .start()
            .unwrap()
            .go()
            .unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        File::from(outer.master.try_clone().unwrap()).write_all(b"hello\n").unwrap();
        let until = guest.pidfd().try_clone_to_owned().unwrap();
        relay_terminal(pty.master.as_fd(), outer.slave.as_fd(), writer.as_fd(), until.as_fd()).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text.contains("terminal\r\n") && text.contains("got hello\r\n"), "{text}");
        assert!(text.contains("33 111\r\n"), "{text}");
        assert_eq!(guest.wait().unwrap(), Ended::Exited(3));
    });
}

fn pipes_keep_output_and_error_apart() {
    on_stage(|stage| {
        let (pipes, theirs) = Pipes::open().unwrap();
        let mut guest = stage.script("cat; echo bad >&2").stdio(theirs).start().unwrap().go().unwrap();
        let (input, mut feed) = std::io::pipe().unwrap();
        let (mut out_reader, out) = std::io::pipe().unwrap();
        let (err_reader, err) = std::io::pipe().unwrap();
        let until = guest.pidfd().try_clone_to_owned().unwrap();
        let big = "0123456789abcdef".repeat(20_000);
        let text = std::thread::scope(|scope| {
            scope.spawn(|| {
                feed.write_all(big.as_bytes()).unwrap();
                drop(feed);
            });
            let text = scope.spawn(move || {
                let mut text = String::new();
                out_reader.read_to_string(&mut text).unwrap();
                text
            });
            relay_pipes(pipes, input.as_fd(), out.as_fd(), err.as_fd(), until.as_fd()).unwrap();
            drop((out, err));
            text.join().unwrap()
        });
        assert!(text == big, "{} of {} bytes", text.len(), big.len());
        assert_eq!(read_all(&mut OwnedFd::from(err_reader).into()), "bad\n");
        assert_eq!(guest.wait().unwrap(), Ended::Exited(0));
    });
}

fn a_guest_survives_a_reader_that_leaves() {
    on_stage(|stage| {
        let (pipes, theirs) = Pipes::open().unwrap();
        let script = "i=0; while test $i -lt 3000; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; exit 4";
        let mut guest = stage.script(script).stdio(theirs).start().unwrap().go().unwrap();
        let (reader, out) = std::io::pipe().unwrap();
        drop(reader);
        let until = guest.pidfd().try_clone_to_owned().unwrap();
        relay_pipes(pipes, null().as_fd(), out.as_fd(), out.as_fd(), until.as_fd()).unwrap();
        assert_eq!(guest.wait().unwrap(), Ended::Exited(4));
    });
}

fn a_background_writer_does_not_hold_the_relay() {
    on_stage(|stage| {
        let guest = IdleGuest::of(stage.script(IDLE));
        let (pipes, theirs) = Pipes::open().unwrap();
        let mut entered = Enter::new(guest.pidfd())
            .argv(strings(&["sh", "-c", "while :; do echo on; done & exit 5"]))
            .environment(strings(&["PATH=/bin"]))
            .stdio(theirs)
            .start()
            .unwrap();
        let (mut reader, out) = std::io::pipe().unwrap();
        let until = entered.pidfd().try_clone_to_owned().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            relay_pipes(pipes, null().as_fd(), out.as_fd(), out.as_fd(), until.as_fd()).unwrap();
            drop(out);
        });
        assert_eq!(entered.wait().unwrap(), 5);
        guest.finish();
    });
}
