//! The room `runtime`, as far as it is looked at.

mod call;
pub(crate) mod sync;

pub(crate) use call::Call;
pub(crate) use claim::{Claim, Claims};
pub(crate) use flight::Flights;
pub(crate) use striped::{Shared, Stripe, Striped};

mod claim {
    include!(concat!(env!("OUT_DIR"), "/runtime_claim.rs"));
}

mod flight {
    include!(concat!(env!("OUT_DIR"), "/runtime_flight.rs"));
}

mod striped {
    include!(concat!(env!("OUT_DIR"), "/runtime_striped.rs"));
}

pub(crate) mod claim_not_swapped {
    include!(concat!(env!("OUT_DIR"), "/claim_not_swapped.rs"));
}

pub(crate) mod flight_wakes_one {
    include!(concat!(env!("OUT_DIR"), "/flight_wakes_one.rs"));
}

pub(crate) mod flight_does_not_look {
    include!(concat!(env!("OUT_DIR"), "/flight_does_not_look.rs"));
}
