//! Lists of C strings as the kernel hands them over and takes them: pointers, with a null pointer behind the last.

use core::ffi::{CStr, c_char};
use core::marker::PhantomData;
use core::ptr;

/// A list of strings that live for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Pointers<'a> {
    first: *const *const c_char,
    strings: PhantomData<&'a CStr>,
}

/// A list of at most `N - 1` strings, being made.
pub(crate) struct List<'a, const N: usize> {
    pointers: [*const c_char; N],
    strings: PhantomData<&'a CStr>,
}

/// The command line and the environment of this process.
#[derive(Clone, Copy)]
pub(crate) struct Args {
    pub(crate) words: Pointers<'static>,
    pub(crate) environment: Pointers<'static>,
}

impl Args {
    /// # Safety
    ///
    /// `stack` is the stack pointer with which the kernel started this process.
    pub(super) unsafe fn from_stack(stack: *const usize) -> Self {
        // SAFETY: by the caller: the first word is the number of arguments.
        let count = unsafe { stack.read() };
        // SAFETY: the arguments follow, then a null pointer.
        let words = unsafe { stack.add(1) };
        // SAFETY: behind that null pointer stands the environment.
        let environment = unsafe { words.add(count + 1) };
        Self { words: Pointers::new(words.cast()), environment: Pointers::new(environment.cast()) }
    }
}

impl<'a> Pointers<'a> {
    /// `first` starts a list that a null pointer ends.
    fn new(first: *const *const c_char) -> Self {
        Self { first, strings: PhantomData }
    }

    pub(super) fn address(&self) -> usize {
        self.first as usize
    }

    /// The first string, unless the list is empty.
    pub(crate) fn first(self) -> Option<&'a CStr> {
        // SAFETY: the list has at least its null pointer.
        let string = unsafe { self.first.read() };
        if string.is_null() {
            return None;
        }
        // SAFETY: every pointer but the null pointer is that of a string that lives for `'a`.
        Some(unsafe { CStr::from_ptr(string) })
    }

    /// The list without its first `n` strings.
    pub(crate) fn behind(mut self, n: usize) -> Self {
        for _ in 0..n {
            if self.first().is_some() {
                // SAFETY: the null pointer, at least, still follows.
                self.first = unsafe { self.first.add(1) };
            }
        }
        self
    }
}

impl<'a> Iterator for Pointers<'a> {
    type Item = &'a CStr;

    fn next(&mut self) -> Option<&'a CStr> {
        let first = self.first()?;
        *self = self.behind(1);
        Some(first)
    }
}

impl<'a, const N: usize> List<'a, N> {
    pub(crate) fn new() -> Self {
        Self { pointers: [ptr::null(); N], strings: PhantomData }
    }

    /// Adds a string; `false` when the list is full.
    pub(crate) fn push(&mut self, string: &'a CStr) -> bool {
        let free = self.pointers.iter().position(|pointer| pointer.is_null()).unwrap_or(N);
        let fits = free + 1 < N;
        if let Some(slot) = self.pointers.get_mut(free).filter(|_| fits) {
            *slot = string.as_ptr();
        }
        fits
    }

    pub(crate) fn pointers(&self) -> Pointers<'_> {
        Pointers::new(self.pointers.as_ptr())
    }
}
