//! The random numbers of a simulation. All of them come from one generator, by forks of it.

use std::time::Duration;

use fastrand::Rng;

/// What a simulation asks of a generator.
pub trait Chance {
    /// True with that probability.
    fn chance(&mut self, probability: f64) -> bool;
    /// A duration in whole milliseconds, each equally likely.
    fn between(&mut self, shortest: f64, longest: f64) -> Duration;
    /// A duration in whole milliseconds, each order of magnitude equally likely.
    fn magnitude(&mut self, shortest: f64, longest: f64) -> Duration;
    /// One of several.
    fn one<T: Clone>(&mut self, of: &[T]) -> T;
}

impl Chance for Rng {
    fn chance(&mut self, probability: f64) -> bool {
        // Nothing is drawn if nothing can happen: a world without faults is the same world otherwise.
        probability > 0.0 && self.f64() < probability
    }

    fn between(&mut self, shortest: f64, longest: f64) -> Duration {
        millis(shortest + self.f64() * (longest - shortest))
    }

    fn magnitude(&mut self, shortest: f64, longest: f64) -> Duration {
        millis(shortest * (longest / shortest).powf(self.f64()))
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.usize(..of.len())].clone()
    }
}

/// Timers of tokio have milliseconds.
fn millis(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1000.0) as u64)
}
