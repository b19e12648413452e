//! Asking for memory that is far from the processor, before it is looked at.
//!
//! Documents are spread over more memory than a processor keeps near, and each part of one that is looked at is waited
//! for. Asked for together, they are waited for together.

/// What the processor fetches at once, bytes.
const LINE_BYTES: usize = 64;

/// Lines that are asked for at most; the processor sees by itself that the rest is read in order.
const LINES_MAX: usize = 4;

/// Asks for the beginning of a value. Changes nothing but the time that looking at it takes.
#[inline]
pub(crate) fn ask_for<T: ?Sized>(value: &T) {
    let first = std::ptr::from_ref(value).cast::<u8>();
    let n_bytes = size_of_val(value).min(LINES_MAX * LINE_BYTES);
    let mut offset = 0;
    while offset < n_bytes {
        prefetch(first.wrapping_add(offset));
        offset += LINE_BYTES;
    }
    // It may begin in the middle of a line.
    prefetch(first.wrapping_add(n_bytes.saturating_sub(1)));
}

/// Asks for a whole value.
#[inline]
pub(crate) fn ask_for_all<T>(value: &T) {
    let first = std::ptr::from_ref(value).cast::<u8>();
    for offset in (0..size_of::<T>()).step_by(LINE_BYTES) {
        prefetch(first.wrapping_add(offset));
    }
}

/// Asks for what lies before a value that is shared: how many share it.
#[inline]
pub(crate) fn ask_before<T: ?Sized>(value: &T) {
    prefetch(std::ptr::from_ref(value).cast::<u8>().wrapping_sub(2 * size_of::<usize>()));
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "the instruction has no safe form")]
fn prefetch(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: it reads and writes nothing that a program can see, at any address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

/// Elsewhere the standard library has no such instruction.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn prefetch(_address: *const u8) {}
