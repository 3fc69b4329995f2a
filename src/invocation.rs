//! What one invocation of a function is handed: the time, the time that is left, and random numbers.

use crate::clock::Clock;
use crate::deadline::Deadline;

/// One invocation. Tests choose all three.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The time.
    pub clock: Clock,
    /// When the response must be complete.
    pub deadline: Deadline,
    /// Random numbers, for the jitter.
    pub random: fastrand::Rng,
}

impl Invocation {
    /// An invocation that starts now. Its deadline is in milliseconds since the Unix epoch; 0 means no deadline.
    pub fn new(clock: Clock, deadline: u64, random: fastrand::Rng) -> Self {
        Self {
            clock,
            deadline: Deadline::at(deadline, &clock),
            random,
        }
    }
}
