//! The writes of the shop to each order, and their times.

use std::time::Duration;

use fastrand::Rng;

use crate::chance::Chance;
use crate::plan::{Act, Plan};
use crate::shop::Write;

/// The statuses of most orders.
const USUAL: [&str; 6] = [
    "PLACED",
    "PAID",
    "PACKED",
    "SHIPPED",
    "OUT_FOR_DELIVERY",
    "DELIVERED",
];

/// Statuses that sometimes follow a delivery.
const RETURN: [&str; 2] = ["RETURN_REQUESTED", "RETURNED"];

/// All writes to the order with this number, and their times.
pub fn script(plan: &Plan, number: usize, random: &mut Rng) -> Vec<(Duration, Write)> {
    let mut script = Script {
        acts: &plan.acts,
        act: 0,
        at: Duration::ZERO,
        writes: Vec::new(),
        has_customers: false,
    };
    script.has_customers = !plan.customers.is_empty();
    script.act = random.usize(..plan.acts.len());
    let act = plan.acts[script.act];
    script.at = act.start + act.length.mul_f64(random.f64() * 0.7);
    let chatty = plan.chatty && number == 0;
    loop {
        script.life(random, chatty, plan.returns);
        if !random.chance(0.25) {
            return script.writes;
        }
        // The id is used again.
        let silently = plan.silent_deletions && random.bool();
        script.pause(random);
        script.add(if silently {
            Write::Expire
        } else {
            Write::Delete
        });
        script.pause(random);
    }
}

struct Script<'a> {
    acts: &'a [Act],
    act: usize,
    at: Duration,
    writes: Vec<(Duration, Write)>,
    has_customers: bool,
}

impl Script<'_> {
    fn life(&mut self, random: &mut Rng, chatty: bool, returns: bool) {
        let slowest = random.one(&[1.0, 10.0, 60.0]);
        for status in USUAL {
            self.add(Write::Status(status));
            self.step(random, slowest);
            self.meanwhile(random, slowest);
            if chatty && status == "OUT_FOR_DELIVERY" {
                for _ in 0..random.usize(150..500) {
                    self.step(random, 0.3);
                    self.add(Write::Public);
                }
            }
            if random.chance(0.04) {
                self.add(Write::Status("CANCELLED"));
                return;
            }
        }
        let (returned, slowest) = if returns {
            (0.9, 5.0)
        } else {
            (0.3, slowest * 3.0)
        };
        if random.chance(returned) {
            for status in RETURN {
                self.step(random, slowest);
                self.add(Write::Status(status));
            }
        }
    }

    /// Writes that do not change the status.
    fn meanwhile(&mut self, random: &mut Rng, slowest: f64) {
        while random.chance(0.35) {
            let write = random.one(&[
                Write::Public,
                Write::Public,
                Write::Private,
                Write::Private,
                Write::Broken,
            ]);
            self.add(write);
            self.step(random, slowest);
        }
        if self.has_customers && random.chance(0.15) {
            self.add(Write::Reassign);
            self.step(random, slowest);
        }
    }

    fn add(&mut self, write: Write) {
        self.writes.push((self.at, write));
    }

    /// Some time passes. If it ends after the busy time, the order continues in the next one.
    fn step(&mut self, random: &mut Rng, slowest: f64) {
        self.at += random.magnitude(0.02, slowest);
        if self.at > self.acts[self.act].end()
            && let Some(next) = self.acts.get(self.act + 1)
        {
            self.act += 1;
            self.at = next.start + random.between(0.0, 5.0);
        }
    }

    /// Seconds pass, or the time until the next busy time.
    fn pause(&mut self, random: &mut Rng) {
        match self.acts.get(self.act + 1) {
            Some(next) if random.bool() => {
                self.act += 1;
                self.at = next.start + random.between(0.0, 5.0);
            }
            _ => self.at += random.between(1.0, 10.0),
        }
    }
}
