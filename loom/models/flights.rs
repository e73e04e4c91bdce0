//! Flights, claims, and references in stripes.

use loom::sync::Arc as Shared;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use crate::Model;
use crate::clock::{Clock, Still};
use crate::error::ErrorKind;
use crate::runtime::sync::{Arc, be};
use crate::runtime::{
    Call, Claims, Flights, Striped, claim_not_swapped, flight_does_not_look, flight_wakes_one,
};

pub(crate) const MODELS: [Model; 8] = [
    ("one caller fetches for all", false, one_fetch),
    ("one caller fetches for all, unless nobody looks again", true, one_fetch_mistaken),
    ("all who wait are woken", false, all_woken),
    ("all who wait are woken, unless only one is", true, all_woken_mistaken),
    ("who is cancelled hands over", false, handed_over),
    ("one has the claim", false, one_claim),
    ("one has the claim, unless it is not swapped", true, one_claim_mistaken),
    ("a value goes with its last reference", false, last_reference),
];

/// Of callers that want the same, does one fetch, and has each what it fetched?
macro_rules! callers {
    ($flights:ty, $number:expr) => {
        let flights: Shared<$flights> = Shared::new(<$flights>::new());
        let (fetches, kept) = (Shared::new(AtomicU32::new(0)), Shared::new(AtomicU32::new(0)));
        let ask = move || {
            let present = || Some(kept.load(Ordering::SeqCst)).filter(|kept| *kept != 0);
            let fetch = || {
                assert_eq!(fetches.fetch_add(1, Ordering::SeqCst), 0, "fetched once");
                kept.store(7, Ordering::SeqCst);
                Ok(7)
            };
            let (value, _) = flights.run(&1, &Call::default(), present, fetch).unwrap();
            assert_eq!(value, 7);
        };
        let others: Vec<_> = (1..$number).map(|_| thread::spawn(ask.clone())).collect();
        ask();
        others.into_iter().for_each(|other| other.join().unwrap());
    };
}

fn one_fetch() {
    callers!(Flights<u8, u32>, 2);
}

fn one_fetch_mistaken() {
    callers!(flight_does_not_look::Flights<u8, u32>, 2);
}

fn all_woken() {
    callers!(Flights<u8, u32>, 3);
}

fn all_woken_mistaken() {
    callers!(flight_wakes_one::Flights<u8, u32>, 3);
}

/// Does a waiter get a token although the one who led was cancelled?
fn handed_over() {
    let flights = Shared::new(Flights::<u8, u32>::new());
    let waiting = flights.clone();
    let waiter = thread::spawn(move || waiting.run(&1, &Call::default(), || None, || Ok(7)).unwrap());
    let call = Call::default();
    let led = flights.run(
        &1,
        &call,
        || None,
        || {
            call.cancelled.store(true, Ordering::SeqCst);
            call.check().map(|()| 0)
        },
    );
    match led {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled),
        Ok(waited) => assert_eq!(waited, (7, false)),
    }
    assert_eq!(waiter.join().unwrap(), (7, true));
}

/// Of two who ask at once, has one the claim, and after it was dropped nobody for the pause?
macro_rules! claimants {
    ($claims:ty) => {
        let clock: Arc<dyn Clock> = Arc::from_std(std::sync::Arc::new(Still));
        let (claims, at_work) = (<$claims>::default(), Shared::new(AtomicU32::new(0)));
        let ask = move || {
            let Some(claim) = claims.claim(&clock, 30) else { return 0 };
            assert_eq!(at_work.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
            at_work.fetch_sub(1, Ordering::SeqCst);
            drop(claim);
            1
        };
        let other = thread::spawn(ask.clone());
        assert_eq!(ask() + other.join().unwrap(), 1);
    };
}

fn one_claim() {
    claimants!(Claims);
}

fn one_claim_mistaken() {
    claimants!(claim_not_swapped::Claims);
}

/// An app that is freed while calls are under way: does it live as long as the last of them, and no longer?
fn last_reference() {
    struct Loud(Shared<AtomicU32>);
    impl Drop for Loud {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let drops = Shared::new(AtomicU32::new(0));
    let striped = Striped::new(Arc::new(Loud(drops.clone())));
    let held = [1, 2].map(|number| {
        be(number);
        striped.hold()
    });
    let calls = held.map(|held| {
        thread::spawn(move || {
            assert_eq!(held.0.load(Ordering::SeqCst), 0);
            drop(held);
        })
    });
    drop(striped);
    calls.into_iter().for_each(|call| call.join().unwrap());
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}
