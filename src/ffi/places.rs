//! Places for handles that come and go with each call: as long as one is vacant, a handle takes no memory of its own.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

use super::handle::{FREED, Handle, Slot, VACANT, boxed, end};
use crate::runtime::Stripe;

/// So many for each stripe of threads; who holds more at once gets boxes.
const PLACES: usize = 4;

/// Handles of one type, those of a stripe on cache lines of their own. One that is freed leaves nothing behind: its value is
/// dropped as that of a box is.
pub(super) struct Places<T>([Row<T>; Stripe::NUMBER]);

#[repr(align(64))]
struct Row<T>([Place<T>; PLACES]);

struct Place<T>(UnsafeCell<Slot<MaybeUninit<T>>>);

// SAFETY: who changes a tag to FREED has the place to itself until it writes another one. All else is read by who has the handle.
unsafe impl<T: Send + Sync> Sync for Place<T> {}

impl<T> Places<T> {
    pub(super) const fn new() -> Self {
        Self([const { Row([const { Place::vacant() }; PLACES]) }; Stripe::NUMBER])
    }

    /// Gives C `value`, in a place of this stripe or in a box.
    #[inline(always)]
    pub(super) fn lend<H: Handle<Value = T>>(&self, stripe: Stripe, value: T) -> *mut H {
        for place in &self.0[stripe.index()].0 {
            let slot = place.0.get();
            // SAFETY: a tag is always there to be read, and the value is written while the place is ours.
            unsafe {
                let tag = &(*slot).tag;
                if tag.load(Ordering::Relaxed) == VACANT
                    && tag.compare_exchange(VACANT, FREED, Ordering::Acquire, Ordering::Relaxed).is_ok()
                {
                    (&raw mut (*slot).value).write(MaybeUninit::new(value));
                    tag.store(H::TAG, Ordering::Release);
                    return slot.cast();
                }
            }
        }
        boxed(value)
    }

    /// Frees `handle`, wherever it is. Otherwise as [`free`](super::handle::free).
    ///
    /// # Safety
    /// As for that, and it came from here or is a box.
    #[inline(always)]
    pub(super) unsafe fn free<H: Handle<Value = T>>(&self, handle: *mut H) {
        // SAFETY: as promised by the caller. It is ours now, and was live, so its value is there; that is out of its place before
        // another one can come, and dropped last.
        unsafe {
            if !end(handle) {
                return;
            }
            if !self.has(handle.cast()) {
                return drop(Box::from_raw(handle.cast::<Slot<T>>()));
            }
            let slot = handle.cast::<Slot<MaybeUninit<T>>>();
            let value = (&raw const (*slot).value).read().assume_init();
            (*slot).tag.store(VACANT, Ordering::Release);
            drop(value);
        }
    }

    fn has(&self, handle: *const ()) -> bool {
        (handle as usize).wrapping_sub(self as *const Self as usize) < size_of::<Self>()
    }
}

impl<T> Place<T> {
    const fn vacant() -> Self {
        Self(UnsafeCell::new(Slot { tag: AtomicU64::new(VACANT), value: MaybeUninit::uninit() }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::super::handle::value;
    use super::*;

    struct Number;

    impl Handle for Number {
        type Value = Arc<usize>;
        const NAME: &'static str = "number";
        const TAG: u64 = 7;
    }

    /// Has each handle what it was given, in places and in boxes, and is nothing left of it when it is freed?
    #[test]
    fn values_come_and_go() {
        static PLACES_OF_ONE: Places<Arc<usize>> = Places::new();
        let (stripe, number) = (Stripe::of_this_thread(), Arc::new(5));
        for _ in 0..3 {
            let handles: Vec<*mut Number> =
                (0..PLACES + 2).map(|_| PLACES_OF_ONE.lend(stripe, number.clone())).collect();
            let placed = handles.iter().filter(|handle| PLACES_OF_ONE.has(handle.cast())).count();
            assert_eq!((placed, Arc::strong_count(&number)), (PLACES, 1 + handles.len()));
            for (index, handle) in handles.iter().enumerate() {
                // SAFETY: they are live until they are freed here.
                unsafe {
                    assert_eq!(**value(*handle, "n").unwrap(), 5);
                    PLACES_OF_ONE.free(*handle);
                    // What a box has left is the allocator's.
                    if index < PLACES {
                        let error = value(*handle, "n").unwrap_err();
                        assert_eq!(error.message(), "n has already been freed");
                    }
                }
            }
            assert_eq!(Arc::strong_count(&number), 1);
        }
    }

    /// Do threads that share all places, and free what others were given, never get what is not theirs?
    #[test]
    fn threads_meet_in_a_row() {
        static SHARED: Places<Arc<usize>> = Places::new();
        let (stripe, given) = (Stripe::of_this_thread(), Arc::new(0));
        let (sender, receiver) = std::sync::mpsc::channel::<usize>();
        let free = |address: usize| {
            let handle = address as *mut Number;
            // SAFETY: it is live, and nobody else has it any more.
            unsafe {
                assert_eq!(**value(handle, "n").unwrap(), 0);
                SHARED.free(handle);
            }
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                let (sender, given) = (sender.clone(), given.clone());
                scope.spawn(move || {
                    for n in 0..2000 {
                        let handle: *mut Number = SHARED.lend(stripe, given.clone());
                        if n % 3 == 0 { sender.send(handle as usize).unwrap() } else { free(handle as usize) }
                    }
                });
            }
            drop(sender);
            receiver.into_iter().for_each(free);
        });
        assert_eq!(Arc::strong_count(&given), 1);
    }
}
