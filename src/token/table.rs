//! Entries by their keys, found without a lock: a hash table that grows by one bucket with each entry (linear
//! hashing), so that nobody ever waits for all of them to be moved.

use std::sync::OnceLock;

use super::CacheKey;
use super::entry::Entry;
use crate::runtime::sync::{Arc, ArcSwapOption, AtomicUsize, Guard, Ordering};

/// The buckets. Only one thread at a time may change them; any number may look.
pub(super) struct Table {
    /// Buckets in use; there are as many as ever were entries at once, and [`FIRST`] at least.
    size: AtomicUsize,
    /// The first is [`FIRST`] buckets long, each other twice as long as the one before it.
    segments: [OnceLock<Box<[Link]>>; SEGMENTS],
}

/// The head of a bucket, or what follows an entry in it.
pub(super) type Link = ArcSwapOption<Entry>;

const FIRST: usize = 1 << FIRST_BITS;
const FIRST_BITS: u32 = 3;
const SEGMENTS: usize = 24;

impl Table {
    pub(super) fn new() -> Self {
        let table =
            Self { size: AtomicUsize::new(FIRST), segments: std::array::from_fn(|_| OnceLock::new()) };
        table.make(0, FIRST);
        table
    }

    /// The entry under `key`. One that is being put or moved just now may not be found: who
    /// finds nothing looks again when nobody changes anything.
    #[inline(always)]
    pub(super) fn find(&self, key: CacheKey) -> Option<Guard<Entry>> {
        let mut at = self.bucket(key.bits(), self.size.load(Ordering::Acquire))?.load();
        while at.as_ref()?.key != key {
            let next = at.as_ref()?.next.load();
            at = next;
        }
        Some(at)
    }

    /// Puts an entry in whose key is not there.
    pub(super) fn insert(&self, entry: &Arc<Entry>, entries: usize) {
        let size = self.size.load(Ordering::Relaxed);
        let size = if entries > size { self.grow(size) } else { size };
        if let Some(bucket) = self.bucket(entry.key.bits(), size) {
            push(bucket, entry);
        }
    }

    /// Takes an entry out that is there.
    pub(super) fn remove(&self, entry: &Arc<Entry>) {
        let size = self.size.load(Ordering::Relaxed);
        let Some(bucket) = self.bucket(entry.key.bits(), size) else { return };
        take(bucket, |found| Arc::ptr_eq(found, entry));
    }

    /// Adds a bucket, and moves what belongs there from the one that it is split from.
    fn grow(&self, size: usize) -> usize {
        let half = 1 << size.ilog2();
        if let (segment, 0) = segment(size) {
            self.make(segment, FIRST << segment);
        }
        let (Some(old), Some(new)) = (self.link(size - half), self.link(size)) else { return size };
        self.size.store(size + 1, Ordering::Release);
        while let Some(entry) = take(old, |entry| index(entry.key.bits(), size + 1) == size) {
            push(new, &entry);
        }
        size + 1
    }

    fn make(&self, segment: usize, length: usize) {
        if let Some(segment) = self.segments.get(segment) {
            segment.get_or_init(|| (0..length).map(|_| Link::empty()).collect());
        }
    }

    #[inline(always)]
    fn bucket(&self, hash: u64, size: usize) -> Option<&Link> {
        self.link(index(hash, size))
    }

    #[inline(always)]
    fn link(&self, index: usize) -> Option<&Link> {
        let (segment, offset) = segment(index);
        self.segments.get(segment)?.get()?.get(offset)
    }
}

/// The bucket of a hash, where there are `size` of them.
#[inline(always)]
fn index(hash: u64, size: usize) -> usize {
    let mask = usize::MAX >> (size - 1).leading_zeros();
    let index = hash as usize & mask;
    if index < size { index } else { index & (mask >> 1) }
}

/// Where a bucket is: in which segment, and where there.
#[inline(always)]
fn segment(index: usize) -> (usize, usize) {
    let place = index + FIRST;
    let top = place.ilog2();
    ((top - FIRST_BITS) as usize, place - (1 << top))
}

/// Puts `entry`, which is in no bucket, in front.
fn push(bucket: &Link, entry: &Arc<Entry>) {
    entry.next.store(bucket.load_full());
    bucket.store(Some(entry.clone()));
}

/// Takes out the first entry that is `wanted`. Who stands on it now sees the end of the bucket.
fn take(bucket: &Link, wanted: impl Fn(&Arc<Entry>) -> bool) -> Option<Arc<Entry>> {
    let mut before: Option<Arc<Entry>> = None;
    loop {
        let link = before.as_ref().map_or(bucket, |entry| &entry.next);
        let entry = link.load_full()?;
        if wanted(&entry) {
            link.store(entry.next.load_full());
            entry.next.store(None);
            return Some(entry);
        }
        before = Some(entry);
    }
}

impl Drop for Table {
    /// One after the other: a long bucket would be dropped from inside itself.
    fn drop(&mut self) {
        for link in self.segments.iter().filter_map(OnceLock::get).flatten() {
            while take(link, |_| true).is_some() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::test::{bearer, key};

    /// Is every index in the segment and at the place that it should be, and none twice?
    #[test]
    fn segments_hold_all_buckets() {
        let mut next = (0, 0);
        for index in 0..10_000 {
            assert_eq!(segment(index), next);
            next = if next.1 + 1 == FIRST << next.0 { (next.0 + 1, 0) } else { (next.0, next.1 + 1) };
        }
    }

    /// Is each of many entries found while the table grows and when others are gone, and is a bucket short?
    #[test]
    fn entries_are_found() {
        let table = Table::new();
        let entries: Vec<_> =
            (0..5000).map(|n| Arc::new(Entry::new(key(&n.to_string()), bearer("t"), 1))).collect();
        for (n, entry) in entries.iter().enumerate() {
            table.insert(entry, n + 1);
            let all = &entries[..=n];
            assert!(all.iter().rev().take(50).all(|entry| table.find(entry.key).is_some()));
        }
        assert_eq!(table.size.load(Ordering::Relaxed), 5000);
        let length = |head: &Link| {
            let mut at = head.load_full();
            std::iter::from_fn(|| {
                let entry = at.take()?;
                at = entry.next.load_full();
                Some(())
            })
            .count()
        };
        let longest = (0..5000).map(|index| length(table.link(index).unwrap())).max();
        assert!(longest < Some(12), "{longest:?}");
        entries.iter().step_by(2).for_each(|entry| table.remove(entry));
        for (n, entry) in entries.iter().enumerate() {
            assert_eq!(table.find(entry.key).is_some(), n % 2 == 1);
            assert_eq!(Arc::strong_count(entry), 1 + n % 2, "nothing else keeps it");
        }
    }
}
