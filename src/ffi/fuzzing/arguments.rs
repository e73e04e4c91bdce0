//! What a fuzzer's bytes mean as an argument of each type, and what is looked at in each type of result.

use std::ffi::{c_char, c_void};

use super::super::{
    app::*, app_options::*, assertion::*, attestation::*, binding_store::*, body::*, buffer::*, cancel::*,
    capabilities::*, certificate::*, error::*, http::*, metric::*, sign::*, stream::*, token::*,
    token_cache::*, token_request::*, tpm::*,
};
use super::machine::{Machine, free, text};
use super::world;

/// A type of parameters.
pub(super) trait Argument {
    fn take(machine: &mut Machine<'_>) -> Self;
}

/// A type of results.
pub(super) trait Outcome {
    fn keep(self, machine: &mut Machine<'_>);
}

/// A type of handles.
pub(super) trait Pooled {
    const KIND: usize;
}

macro_rules! kinds {
    ($($kind:literal $handle:ident $($free:ident)?;)*) => {
        $(impl Pooled for $handle {
            const KIND: usize = $kind;
        })*

        pub(super) const KINDS: usize = [$($kind),*].len();

        /// Frees one that is the machine's; a question is not.
        pub(super) fn free_one(machine: &mut Machine<'_>, kind: usize) {
            match kind {
                $($($kind => free(machine, $free),)?)*
                _ => machine.drop_kind(kind),
            }
        }
    };
}

kinds! {
    0 mtlspop_app mtlspop_app_free;
    1 mtlspop_app_options mtlspop_app_options_free;
    2 mtlspop_buffer mtlspop_buffer_free;
    3 mtlspop_cancel mtlspop_cancel_free;
    4 mtlspop_capabilities mtlspop_capabilities_free;
    5 mtlspop_certificate mtlspop_certificate_free;
    6 mtlspop_error mtlspop_error_free;
    7 mtlspop_http_request mtlspop_http_request_free;
    8 mtlspop_http_response mtlspop_http_response_free;
    9 mtlspop_http_stream mtlspop_http_stream_free;
    10 mtlspop_token mtlspop_token_free;
    11 mtlspop_token_cache mtlspop_token_cache_free;
    12 mtlspop_token_request mtlspop_token_request_free;
    13 mtlspop_tpm_options mtlspop_tpm_options_free;
    14 mtlspop_assertion_op;
    15 mtlspop_attestation_op;
    16 mtlspop_body_op;
    17 mtlspop_metric;
    18 mtlspop_secret_op;
    19 mtlspop_sign_op;
    20 mtlspop_store_op;
}

impl<T: Pooled> Argument for *const T {
    fn take(machine: &mut Machine<'_>) -> Self {
        machine.handle(T::KIND).cast()
    }
}

impl<T: Pooled> Argument for *mut T {
    fn take(machine: &mut Machine<'_>) -> Self {
        machine.handle(T::KIND).cast()
    }
}

impl<T: Pooled> Argument for *mut *mut T {
    fn take(machine: &mut Machine<'_>) -> Self {
        machine.out(T::KIND).cast()
    }
}

/// NULL, one of those that get far, any bytes, or a great many.
impl Argument for *const c_char {
    fn take(machine: &mut Machine<'_>) -> Self {
        let mut text = match machine.byte() {
            0 => return std::ptr::null(),
            known @ 1..64 => world::text(known - 1),
            length @ 64..255 => world::tamed(machine.bytes(usize::from(length) - 64)),
            255 => vec![b'a'; 100_000],
        };
        text.retain(|byte| *byte != 0);
        text.push(0);
        lend(machine, text).cast()
    }
}

/// The same for bytes. Their length comes with the next parameter.
impl Argument for *const u8 {
    fn take(machine: &mut Machine<'_>) -> Self {
        let bytes = match machine.byte() {
            0 => {
                // The one length that is not that of the bytes, and allowed.
                machine.length = Some(usize::from(machine.byte() % 2));
                return std::ptr::null();
            }
            known @ 1..16 => world::bytes(known - 1),
            length @ 16..255 => machine.bytes(usize::from(length) - 16).to_vec(),
            255 => vec![0x30; 70_000],
        };
        machine.length = Some(bytes.len());
        lend(machine, bytes)
    }
}

/// Room for what is read.
impl Argument for *mut u8 {
    fn take(machine: &mut Machine<'_>) -> Self {
        let room = vec![0; usize::from(machine.byte())];
        machine.length = Some(room.len());
        lend(machine, room).cast_mut()
    }
}

impl Argument for *mut usize {
    fn take(machine: &mut Machine<'_>) -> Self {
        if machine.byte() == 255 {
            return std::ptr::null_mut();
        }
        &raw mut **machine.out_length.insert(Box::new(usize::MAX))
    }
}

impl Argument for usize {
    fn take(machine: &mut Machine<'_>) -> Self {
        machine.length.take().unwrap_or_else(|| number(machine) as usize)
    }
}

impl Argument for i64 {
    fn take(machine: &mut Machine<'_>) -> Self {
        number(machine)
    }
}

impl Argument for i32 {
    fn take(machine: &mut Machine<'_>) -> Self {
        number(machine) as i32
    }
}

fn number(machine: &mut Machine<'_>) -> i64 {
    const ODD: [i64; 12] = [
        -1,
        20,
        1000,
        600,
        0x8100_0001,
        1 << 20,
        0xffff,
        i32::MIN as i64,
        i32::MAX as i64,
        u32::MAX as i64,
        i64::MIN,
        i64::MAX,
    ];
    match machine.byte() {
        small @ 0..128 => small.into(),
        odd => ODD[usize::from(odd) % ODD.len()],
    }
}

fn lend(machine: &mut Machine<'_>, bytes: Vec<u8>) -> *const u8 {
    machine.lent.push(bytes.into());
    machine.lent.last().map_or(std::ptr::null(), |bytes| bytes.as_ptr())
}

impl Outcome for () {
    fn keep(self, _: &mut Machine<'_>) {}
}

impl Outcome for i32 {
    fn keep(self, machine: &mut Machine<'_>) {
        machine.status(self);
    }
}

impl Outcome for i64 {
    fn keep(self, _: &mut Machine<'_>) {}
}

impl Outcome for usize {
    fn keep(self, _: &mut Machine<'_>) {}
}

impl<T: Pooled> Outcome for *mut T {
    fn keep(self, machine: &mut Machine<'_>) {
        machine.keep(T::KIND, self.cast::<c_void>());
    }
}

impl Outcome for *const c_char {
    fn keep(self, _: &mut Machine<'_>) {
        // SAFETY: it was just lent.
        let _ = unsafe { text(self) };
    }
}

impl Outcome for *const u8 {
    fn keep(self, machine: &mut Machine<'_>) {
        let Some(length) = machine.out_length.take() else { return };
        assert!(*length != usize::MAX, "a length was not told");
        assert!(*length == 0 || !self.is_null());
        if !self.is_null() {
            // SAFETY: so many bytes were just lent.
            let bytes = unsafe { std::slice::from_raw_parts(self, *length) };
            std::hint::black_box(bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
        }
    }
}

/// A place to be written to.
impl Outcome for *mut u8 {
    fn keep(self, machine: &mut Machine<'_>) {
        let Some(length) = machine.out_length.take() else { return };
        assert!(*length != usize::MAX && (*length == 0 || !self.is_null()));
        if !self.is_null() {
            // SAFETY: there is room for so many.
            unsafe { std::ptr::write_bytes(self, b'x', *length) };
        }
    }
}
