//! What `claim.rs` needs of the library's clock: it stands still.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) trait Clock {
    fn now(&self) -> SystemTime;
}

pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1000)
    }
}

pub(crate) fn unix_seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}
