//! Lambda's execution environments: which one serves a request, when one must be started, and when there is no room for one.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

/// An environment that was idle for this long is gone. Five to seven minutes are published, measured by others.
const SHORTEST_LIFE: Duration = Duration::from_secs(5 * 60);
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 60);

/// What an account has room for.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub concurrent: u64,
    pub requests_per_second: u64,
}

impl Limit {
    /// No limit.
    pub const NONE: Self = Self {
        concurrent: u64::MAX,
        requests_per_second: u64::MAX,
    };

    /// A number of concurrent executions. Lambda allows ten times as many requests a second.
    pub fn of(executions: u64) -> Self {
        Self {
            concurrent: executions,
            requests_per_second: executions.saturating_mul(10),
        }
    }
}

/// What happened in a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    /// All requests, also those that got 429.
    pub requests: u64,
    /// Those that got 429.
    pub throttled: u64,
    pub cold_starts: u64,
    /// The most concurrent executions.
    pub concurrent: u64,
}

/// There is no room for another execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled;

/// An environment, and the endpoints of its process.
#[derive(Debug)]
pub struct Environment<E> {
    pub endpoints: Vec<E>,
    pub used: Instant,
    /// The number of deployments before it was started.
    pub deployment: u64,
}

/// The environments of a function.
#[derive(Debug)]
pub struct Environments<E> {
    start: Instant,
    pub limit: Limit,
    /// With the time that each may stay idle. The one that was used last is the last one.
    idle: Vec<(Environment<E>, Duration)>,
    in_flight: u64,
    pub deployment: u64,
    pub seconds: Vec<Second>,
    random: Rng,
}

impl<E> Environments<E> {
    pub fn new(start: Instant, limit: Limit) -> Self {
        Self {
            start,
            limit,
            idle: Vec::new(),
            in_flight: 0,
            deployment: 0,
            seconds: Vec::new(),
            random: Rng::with_seed(7),
        }
    }

    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        let second = usize::try_from((now - self.start).as_secs()).unwrap_or(usize::MAX);
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, Second::default());
        }
        &mut self.seconds[second]
    }

    /// Begins an execution. Returns its environment; `None` means that one must be started.
    ///
    /// The environment that was used last is used again, so those that are not needed end. Which one Lambda uses is not
    /// published.
    ///
    /// # Errors
    ///
    /// [`Throttled`] if the limit is reached.
    pub fn admit(&mut self, now: Instant) -> Result<Option<Environment<E>>, Throttled> {
        let (limit, in_flight) = (self.limit, self.in_flight);
        let second = self.second(now);
        second.requests += 1;
        let admitted = second.requests - second.throttled;
        if in_flight >= limit.concurrent || admitted > limit.requests_per_second {
            second.throttled += 1;
            return Err(Throttled);
        }
        self.in_flight += 1;
        let in_flight = self.in_flight;
        let warm = self.warm(now);
        let second = self.second(now);
        second.concurrent = second.concurrent.max(in_flight);
        second.cold_starts += u64::from(warm.is_none());
        Ok(warm)
    }

    fn warm(&mut self, now: Instant) -> Option<Environment<E>> {
        while let Some((environment, life)) = self.idle.pop() {
            if now - environment.used < life {
                return Some(environment);
            }
        }
        None
    }

    /// An execution has ended.
    pub fn ended(&mut self, mut environment: Environment<E>, now: Instant) {
        self.in_flight -= 1;
        if environment.deployment == self.deployment {
            environment.used = now;
            let spread = (LONGEST_LIFE - SHORTEST_LIFE).mul_f64(self.random.f64());
            self.idle.push((environment, SHORTEST_LIFE + spread));
        }
    }

    /// No environment that exists now is used for another request.
    pub fn deploy(&mut self) {
        self.deployment += 1;
        self.idle.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(environments: &Environments<()>, now: Instant) -> Environment<()> {
        Environment {
            endpoints: Vec::new(),
            used: now,
            deployment: environments.deployment,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_environment_is_used_again_for_five_minutes_and_gone_after_seven() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut environments = Environments::new(now, Limit::NONE);
        assert!(environments.admit(now).is_ok_and(|warm| warm.is_none()));
        environments.ended(environment(&environments, now), now);
        let warm = environments.admit(after(299));
        assert!(warm.as_ref().is_ok_and(Option::is_some));
        environments.ended(environment(&environments, now), after(300));
        let gone = environments.admit(after(300 + 420));
        assert!(gone.is_ok_and(|warm| warm.is_none()));
        assert_eq!(
            environments
                .seconds
                .iter()
                .map(|it| it.cold_starts)
                .sum::<u64>(),
            2
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_deployment_uses_no_environment_again_also_those_that_are_busy_now() {
        let now = Instant::now();
        let mut environments = Environments::new(now, Limit::NONE);
        for _ in 0..2 {
            assert!(environments.admit(now).is_ok());
        }
        let busy = environment(&environments, now);
        environments.ended(environment(&environments, now), now);
        environments.deploy();
        environments.ended(busy, now);
        assert!(environments.admit(now).is_ok_and(|warm| warm.is_none()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_counts_executions_and_ten_times_as_many_requests_a_second() {
        let now = Instant::now();
        let mut environments = Environments::new(now, Limit::of(2));
        for _ in 0..2 {
            assert!(environments.admit(now).is_ok());
        }
        assert_eq!(environments.admit(now).err(), Some(Throttled));
        for _ in 0..2 {
            environments.ended(environment(&environments, now), now);
        }
        for _ in 0..18 {
            assert!(environments.admit(now).is_ok());
            environments.ended(environment(&environments, now), now);
        }
        assert_eq!(environments.admit(now).err(), Some(Throttled));
        assert!(environments.admit(now + Duration::from_secs(1)).is_ok());
        let second = environments.seconds[0];
        assert_eq!(
            (second.requests, second.throttled, second.concurrent),
            (22, 2, 2)
        );
    }
}
