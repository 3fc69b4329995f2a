//! The counts of what was done and seen.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! tally {
    ($($name:ident: $label:literal,)*) => {
        #[derive(Default)]
        pub struct Tally {
            $(pub $name: AtomicU64,)*
            /// Each with the client's last steps.
            pub violations: Mutex<Vec<String>>,
            /// The paths of the clients that still watch.
            pub watching: Mutex<BTreeSet<String>>,
        }

        impl fmt::Display for Tally {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(write!(f, concat!($label, " {}, "), self.$name.load(Ordering::Relaxed))?;)*
                Ok(())
            }
        }
    };
}

tally! {
    orders: "orders",
    changes: "changes",
    clients: "clients",
    events: "events seen",
    connections: "connections",
    rests: "rests",
    ends: "ends",
    cuts: "cuts",
    refusals: "refusals",
    stalls: "slow readers",
    stream_kills: "stream kills",
    projector_kills: "projector kills",
    throttles: "throttled calls",
    redeliveries: "batches delivered again",
    lost: "LOST",
    doubled: "DOUBLED",
    disordered: "OUT OF ORDER",
}

pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
