//! Runs the calls that a fuzzer's bytes stand for, and looks at what comes of each.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use once_cell::sync::Lazy;

use super::super::error::{mtlspop_error, mtlspop_error_message, mtlspop_error_status};
use super::arguments::{Argument, KINDS, Pooled};
use super::table::ROWS;
use crate::error::ErrorKind;
use crate::error::text::one_line;

/// What an output parameter holds before the call: it must not be that afterwards.
const UNTOUCHED: *mut c_void = std::ptr::dangling_mut::<u64>().cast();
/// More calls than that find nothing new.
const MOST_CALLS: usize = 200;

pub(super) struct Machine<'a> {
    input: &'a [u8],
    pub(super) live: Live,
    /// Whether it may ask for tokens and send requests: some callbacks must not.
    may_ask: bool,
    /// Which handle comes next, where the input does not say.
    pick: Option<u8>,
    /// Live handles by kind, the newest last.
    pools: [Vec<*mut c_void>; KINDS],
    /// What the present call was lent.
    pub(super) lent: Vec<Box<[u8]>>,
    /// Its output parameters, and the kinds of what comes there.
    outs: Vec<(Box<*mut c_void>, usize)>,
    has_outs: bool,
    /// The length of the bytes that were given last, which comes next.
    pub(super) length: Option<usize>,
    /// Where the length of what is returned comes.
    pub(super) out_length: Option<Box<usize>>,
}

/// How many `userdata` there are that were not destroyed yet.
#[derive(Clone, Default)]
pub(super) struct Live(pub(super) Arc<AtomicUsize>);

impl Live {
    /// Each exactly once, when all handles are gone; background threads may take a moment.
    pub(super) fn wait_for_destroys(&self) {
        for _ in 0..20_000 {
            if self.0.load(Ordering::SeqCst) == 0 {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("{} userdata were never destroyed", self.0.load(Ordering::SeqCst));
    }
}

impl<'a> Machine<'a> {
    pub(super) fn new(input: &'a [u8], live: &Live, may_ask: bool) -> Self {
        Self {
            input,
            live: live.clone(),
            may_ask,
            pick: None,
            pools: [const { Vec::new() }; KINDS],
            lent: Vec::new(),
            outs: Vec::new(),
            has_outs: false,
            length: None,
            out_length: None,
        }
    }

    pub(super) fn run(&mut self) {
        static BY_NAME: Lazy<HashMap<u16, usize>> = Lazy::new(|| {
            ROWS.iter().enumerate().map(|(index, (name, _))| (name_hash(name), index)).collect()
        });
        for _ in 0..MOST_CALLS {
            let Some((code, rest)) = self.input.split_first_chunk::<2>() else { break };
            self.input = rest;
            let code = u16::from_le_bytes(*code);
            let index = BY_NAME.get(&code).copied().unwrap_or(usize::from(code) % ROWS.len());
            let (name, call) = ROWS[index];
            let asks = ["acquire_token", "app_send", "app_managed_identity_capabilities"];
            if self.may_ask || !asks.iter().any(|part| name.contains(part)) {
                call(self);
                self.look(name);
            }
        }
    }

    pub(super) fn free_all(&mut self) {
        for kind in 0..KINDS {
            while !self.pools[kind].is_empty() {
                // The newest first, as a program would, or the other way round.
                let count = self.pools[kind].len() as u8;
                self.pick = Some(if self.byte().is_multiple_of(2) { 1 } else { count.max(1) });
                super::arguments::free_one(self, kind);
                self.look("a free");
            }
        }
    }

    /// The next byte, or 0 at the end.
    pub(super) fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.input.split_first() else { return 0 };
        self.input = rest;
        *byte
    }

    /// The next so many bytes, as far as there are any.
    pub(super) fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (bytes, rest) = self.input.split_at(length.min(self.input.len()));
        self.input = rest;
        bytes
    }

    /// A live handle: the byte counts back from the newest; NULL with 0, or where there is none.
    pub(super) fn handle(&mut self, kind: usize) -> *mut c_void {
        let which = self.pick.take().unwrap_or_else(|| self.byte());
        match (which, self.pools[kind].len()) {
            (0, _) | (_, 0) => std::ptr::null_mut(),
            (byte, count) => self.pools[kind][count - 1 - usize::from(byte - 1) % count],
        }
    }

    /// The same, and nobody else gets it any more.
    fn take_handle(&mut self, kind: usize) -> *mut c_void {
        let handle = self.handle(kind);
        self.pools[kind].retain(|other| *other != handle);
        handle
    }

    pub(super) fn keep(&mut self, kind: usize, handle: *mut c_void) {
        if !handle.is_null() {
            self.pools[kind].push(handle);
        }
    }

    pub(super) fn drop_kind(&mut self, kind: usize) {
        self.pools[kind].clear();
    }

    /// A place for a handle, or NULL.
    pub(super) fn out(&mut self, kind: usize) -> *mut *mut c_void {
        self.has_outs = true;
        if self.byte() == 255 {
            return std::ptr::null_mut();
        }
        let mut place = Box::new(UNTOUCHED);
        let pointer = &raw mut *place;
        self.outs.push((place, kind));
        pointer
    }

    /// What a status says is an error that has been seen or not, but never a bug.
    pub(super) fn status(&self, status: i32) {
        assert!(!self.has_outs || status != ErrorKind::Internal as i32, "a bug that has no error object");
    }

    /// What the call named `name` has left.
    fn look(&mut self, name: &str) {
        for (place, kind) in std::mem::take(&mut self.outs) {
            assert!(*place != UNTOUCHED, "{name} left an output parameter as it was");
            if !place.is_null() && kind == mtlspop_error::KIND {
                // SAFETY: it just came.
                unsafe { look_at_error(name, (*place).cast()) };
            }
            self.keep(kind, *place);
        }
        self.has_outs = false;
        self.lent.clear();
        (self.length, self.out_length) = (None, None);
    }
}

unsafe fn look_at_error(name: &str, error: *const mtlspop_error) {
    // SAFETY: as promised by the caller.
    let (status, message) = unsafe { (mtlspop_error_status(error), mtlspop_error_message(error)) };
    // SAFETY: borrowed from the error.
    let message = unsafe { text(message) }.unwrap_or_default();
    assert_ne!(status, ErrorKind::Internal as i32, "{name}: {message}");
    assert!(status > 0 && !message.is_empty(), "{name}: {status} {message}");
    assert_eq!(message, one_line(message.to_owned()), "{name}");
}

/// Text that the library lends: always UTF-8, and NUL-terminated.
///
/// # Safety
/// `text` is NULL or was just lent.
pub(super) unsafe fn text<'a>(text: *const c_char) -> Option<&'a str> {
    // SAFETY: as promised by the caller.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().expect("UTF-8"))
}

/// FNV-1a, folded: functions that are added move no other's.
pub(super) fn name_hash(name: &str) -> u16 {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash >> 16) as u16 ^ hash as u16
}

type Free<T> = unsafe extern "C" fn(*mut T);

/// Takes the handle out of its pool and frees it.
pub(super) fn free<T: Pooled>(machine: &mut Machine<'_>, function: Free<T>) {
    let handle = machine.take_handle(T::KIND);
    // SAFETY: live, of this type, and nobody has it any more.
    unsafe { function(handle.cast()) };
}

macro_rules! calls {
    ($($name:ident: $($argument:ident)*;)*) => { $(
        #[allow(clippy::too_many_arguments)]
        pub(super) fn $name<$($argument: Argument,)* R: super::arguments::Outcome>(
            machine: &mut Machine<'_>,
            function: unsafe extern "C" fn($($argument),*) -> R,
        ) {
            // Braces, for the arguments are taken in their order.
            // SAFETY: arguments are NULL, live handles of their types, or memory that lives until the call is looked at.
            let outcome = unsafe { function($({ <$argument as Argument>::take(machine) }),*) };
            outcome.keep(machine);
        }
    )* };
}

calls! {
    call0: ;
    call1: A;
    call2: A B;
    call3: A B C;
    call4: A B C D;
    call5: A B C D E;
    call6: A B C D E F;
    call7: A B C D E F G;
}
