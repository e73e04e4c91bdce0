//! The token cache: looks without a lock, while another thread puts, replaces, moves and evicts.

use loom::thread;

use super::entry::{Allowance, Entry};
use super::shard::Shard;
use super::{AccessToken, CacheKey, shard_does_not_look};
use crate::Model;
use crate::runtime::Stripe;
use crate::runtime::sync::Arc;

pub(crate) const MODELS: [Model; 8] = [
    ("a token that is replaced is never missed", false, replaced),
    ("a token that is replaced is never missed, unless nobody looks again", true, replaced_mistaken),
    ("a token that is moved is never missed", false, moved),
    ("a token that is moved is never missed, unless nobody looks again", true, moved_mistaken),
    ("a token that is spread is never missed", false, spread),
    ("a token that is spread is never missed, unless nobody looks again", true, spread_mistaken),
    ("a token that goes is gone", false, evicted),
    ("two threads put", false, two_put),
];

/// An entry for this key, that takes one byte.
fn entry(key: u64, number: u32) -> Arc<Entry> {
    Arc::new(Entry::new(CacheKey(key), AccessToken { number, alive: Arc::new(()) }, 1))
}

macro_rules! get {
    ($shard:expr, $key:expr) => {
        $shard.get(CacheKey($key), Stripe::of_this_thread(), |_| ()).map(|(token, ())| token.number)
    };
}

/// Is one of the two found, whenever the look comes?
macro_rules! replacing {
    ($shard:ty) => {
        let shard = Arc::new(<$shard>::new(10, 1000, Allowance::new(0)));
        shard.put(&entry(1, 1), |_| true);
        let other = shard.clone();
        let put = thread::spawn(move || drop(other.put(&entry(1, 2), |_| true)));
        assert!(matches!(get!(shard, 1), Some(1 | 2)));
        put.join().unwrap();
        assert_eq!(get!(shard, 1), Some(2));
    };
}

fn replaced() {
    replacing!(Shard);
}

fn replaced_mistaken() {
    replacing!(shard_does_not_look::Shard);
}

/// The table grows by the bucket that the token belongs in then.
macro_rules! moving {
    ($shard:ty) => {
        let shard = Arc::new(<$shard>::new(100, 1000, Allowance::new(0)));
        for key in 1..=8 {
            shard.put(&entry(key, key as u32), |_| true);
        }
        let other = shard.clone();
        let put = thread::spawn(move || drop(other.put(&entry(9, 9), |_| true)));
        assert_eq!(get!(shard, 8), Some(8));
        put.join().unwrap();
        assert_eq!((get!(shard, 8), get!(shard, 9)), (Some(8), Some(9)));
    };
}

fn moved() {
    moving!(Shard);
}

fn moved_mistaken() {
    moving!(shard_does_not_look::Shard);
}

/// References for many threads take the place of the entry; and with it goes all of it.
macro_rules! spreading {
    ($shard:ty) => {
        let shard = Arc::new(<$shard>::new(10, 1000, Allowance::new(1)));
        let first = entry(1, 1);
        let alive = first.alive.clone();
        shard.put(&first, |_| true);
        let other = shard.clone();
        let spread = thread::spawn(move || other.spread(&first));
        assert_eq!(get!(shard, 1), Some(1));
        spread.join().unwrap();
        assert_eq!((get!(shard, 1), shard.holds().entries), (Some(1), 1));
        drop(shard.remove_where(|_| true));
        assert_eq!((get!(shard, 1), Arc::strong_count(&alive)), (None, 1));
    };
}

fn spread() {
    spreading!(Shard);
}

fn spread_mistaken() {
    spreading!(shard_does_not_look::Shard);
}

/// A token that is looked for while it is evicted: is it found or not, and then nowhere any more?
fn evicted() {
    let shard = Arc::new(Shard::new(1, 1000, Allowance::new(0)));
    let first = entry(1, 1);
    let alive = first.alive.clone();
    shard.put(&first, |_| true);
    drop(first);
    let other = shard.clone();
    let put = thread::spawn(move || drop(other.put(&entry(9, 2), |_| true)));
    assert!(matches!(get!(shard, 1), None | Some(1)));
    put.join().unwrap();
    assert_eq!((get!(shard, 1), shard.holds().entries), (None, 1));
    assert_eq!(Arc::strong_count(&alive), 1, "nothing keeps it");
}

/// Two threads that put at the same time: are both there, and all of it counted?
fn two_put() {
    let shard = Arc::new(Shard::new(10, 1000, Allowance::new(0)));
    let other = shard.clone();
    let put = thread::spawn(move || drop(other.put(&entry(1, 1), |_| true)));
    shard.put(&entry(9, 9), |_| true);
    put.join().unwrap();
    assert_eq!((get!(shard, 1), get!(shard, 9)), (Some(1), Some(9)));
    assert_eq!((shard.holds().entries, shard.holds().bytes), (2, 2));
}
