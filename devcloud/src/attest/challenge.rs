//! The challenges of the attestation service: each says itself how long it is good for, and is good once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::{self, SystemRandom};

use crate::clock;

/// How many seconds a client has to answer.
const LIFETIME: i64 = 300;
const LENGTH: usize = 32;
const DATE: usize = size_of::<i64>();

/// The key that tells this cloud's contexts from all others, and the challenges that have been used.
pub(crate) struct Challenges {
    key: hmac::Key,
    /// Until when each would still be good.
    used: Mutex<BTreeMap<Challenge, i64>>,
}

pub(super) type Challenge = [u8; LENGTH];

/// A challenge that is good now, unless it has been used.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) challenge: Challenge,
    end: i64,
}

impl Challenges {
    pub(crate) fn new() -> Result<Self, Unspecified> {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new())?;
        Ok(Challenges { key, used: Mutex::default() })
    }

    /// A new challenge, and its context: end, challenge and the MAC of both. Nothing is kept for it.
    pub(super) fn make(&self, now: i64) -> Result<(Challenge, Vec<u8>), Unspecified> {
        let challenge: Challenge = rand::generate(&SystemRandom::new())?.expose();
        let mut context = [&(now + LIFETIME).to_be_bytes()[..], &challenge].concat();
        let mac = hmac::sign(&self.key, &context);
        context.extend(mac.as_ref());
        Ok((challenge, context))
    }

    /// What a context says. The error says why it is no good.
    pub(super) fn read(&self, context: &[u8], now: i64) -> Result<Context, String> {
        let foreign = || "service_context was not made by this service".to_owned();
        let (said, mac) = context.split_at_checked(DATE + LENGTH).ok_or_else(foreign)?;
        hmac::verify(&self.key, said, mac).map_err(|_| foreign())?;
        let (mut end, mut challenge) = ([0; DATE], [0; LENGTH]);
        end.copy_from_slice(&said[..DATE]);
        challenge.copy_from_slice(&said[DATE..]);
        let end = i64::from_be_bytes(end);
        if now >= end {
            return Err(format!(
                "service_context has expired: its challenge was good until {}",
                clock::text(end)
            ));
        }
        Ok(Context { challenge, end })
    }

    /// Uses a challenge up.
    pub(super) fn redeem(&self, context: &Context, now: i64) -> Result<(), String> {
        // A panic elsewhere leaves the map whole: every change is complete when its lock is released.
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, end| now < *end);
        match used.insert(context.challenge, context.end) {
            None => Ok(()),
            Some(_) => Err("challenge has been used already: ask for another".to_owned()),
        }
    }
}
