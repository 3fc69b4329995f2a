//! The random numbers of a simulation. All of them come from one generator and its forks.

use std::time::Duration;

use fastrand::Rng;

/// How a simulation draws random values.
pub trait Chance {
    /// True with this probability.
    fn chance(&mut self, probability: f64) -> bool;
    /// A duration in whole milliseconds. Each is equally likely.
    fn between(&mut self, shortest: f64, longest: f64) -> Duration;
    /// A duration in whole milliseconds. Each order of magnitude is equally likely.
    fn magnitude(&mut self, shortest: f64, longest: f64) -> Duration;
    /// One of several values.
    fn one<T: Clone>(&mut self, of: &[T]) -> T;
}

impl Chance for Rng {
    fn chance(&mut self, probability: f64) -> bool {
        // Nothing is drawn if the probability is 0, so a world without faults is otherwise the same world.
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

/// Tokio's timers count milliseconds.
fn millis(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1000.0) as u64)
}
