//! `mtlspop_buffer`: exported bytes, wiped when freed.

use zeroize::Zeroizing;

use super::guard::guard_or;
use super::handle::{Handle, free, value};
use super::text::{lend, no_length};

/// Exported bytes, which may hold a private key. Owned by who received it; wiped when freed.
pub struct mtlspop_buffer {
    _private: [u8; 0],
}

/// The bytes, followed by one NUL that is not part of them.
pub(super) struct BufferValue(Zeroizing<Vec<u8>>);

impl Handle for mtlspop_buffer {
    type Value = BufferValue;
    const NAME: &'static str = "buffer";
    const TAG: u64 = 0x6d74_6c73_4255_4646;
}

impl BufferValue {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut copy = Zeroizing::new(Vec::with_capacity(bytes.len() + 1));
        copy.extend_from_slice(bytes);
        copy.push(0);
        Self(copy)
    }
}

/// The bytes. A NUL follows them, so that text can be used as a C string.
///
/// @param buffer      the buffer
/// @param out_length  receives the number of bytes, without that NUL; may be NULL
/// @return the bytes, borrowed from buffer; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_buffer_data(
    buffer: *const mtlspop_buffer,
    out_length: *mut usize,
) -> *const u8 {
    guard_or(std::ptr::null(), || {
        unsafe { no_length(out_length) };
        let bytes = &unsafe { value(buffer, "buffer") }?.0;
        Ok(unsafe { lend(&bytes[..bytes.len() - 1], out_length) })
    })
}

/// Wipes and frees a buffer.
///
/// @param buffer  the buffer; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_buffer_free(buffer: *mut mtlspop_buffer) {
    guard_or((), || {
        unsafe { free(buffer) };
        Ok(())
    });
}
