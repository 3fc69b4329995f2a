//! What a seed decides in advance: the settings, the faults and their probabilities, and the busy times.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use crate::chance::Chance;

/// Environment variables of both functions.
pub type Variables = BTreeMap<&'static str, String>;

/// The public attributes of every deployment.
pub const ALWAYS_PUBLIC: [&str; 4] = ["eta", "place", "total", "tracking"];

/// An attribute that is public only in some deployments.
pub const SOMETIMES_PUBLIC: &str = "carrier";

/// The customers of worlds that have customers.
pub const CUSTOMERS: [&str; 2] = ["C-1", "C-2"];

/// The name of an attribute that no item has.
pub const WRONG: &str = "wrong";

/// The kinds of faults, as the report names them. A few thousand seeds have all of them.
pub const FAULTS: [&str; 30] = [
    "answers lost",
    "batches doubled",
    "batches repeated",
    "calls that hang",
    "clocks that are wrong",
    "cold starts",
    "connections cut",
    "connections reset",
    "connections stalled",
    "deployments",
    "entries deleted by TTL",
    "items deleted by TTL",
    "items that are no orders",
    "messages late",
    "messages lost",
    "messages repeated",
    "messages that are wrong",
    "orders that change hands",
    "panics",
    "processes killed",
    "readers slower than a response",
    "readings that lag",
    "requests refused",
    "slow calls",
    "slow readers",
    "stalls of the source",
    "stream switches",
    "throttled calls",
    "wake connections lost",
    "wrong settings",
];

/// See the module.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When it begins, since the Unix epoch.
    pub epoch: Duration,
    /// The busy times, when shops write and clients watch. Between them, nothing happens for up to weeks.
    pub acts: Vec<Act>,
    /// The settings of the first deployment.
    pub variables: Variables,
    /// Later deployments: their time, and the variables that they change.
    pub deployments: Vec<(Duration, Variables)>,
    /// How many orders there are.
    pub orders: usize,
    /// One of the orders changes several hundred times.
    pub chatty: bool,
    /// Ids may be used again after a deletion that makes no entry.
    pub silent_deletions: bool,
    /// Most orders are returned soon after they were delivered.
    pub returns: bool,
    /// If clients have tokens: how long these are valid.
    pub token_lifetime: Option<Duration>,
    /// The stream function's timeout.
    pub timeout: Duration,
    /// How the stream is switched, if it is.
    pub switch: Option<Switch>,
    /// The faults of calls to the feed.
    pub feed: FeedFaults,
    /// The faults of the event source.
    pub source: SourceFaults,
    /// The faults of connections.
    pub net: NetFaults,
    /// Held responses are woken, with these faults.
    pub wake: Option<WakeFaults>,
    /// The clock of a process is wrong by at most this.
    pub skew: Duration,
    /// The customers of the orders. Some clients watch a customer. Empty if the feature is off.
    pub customers: &'static [&'static str],
}

/// A busy time.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// Since the simulation's start.
    pub start: Duration,
    /// How long it is.
    pub length: Duration,
}

impl Act {
    /// When it ends.
    pub fn end(&self) -> Duration {
        self.start + self.length
    }
}

/// How the Orders table's stream is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The items are copied to another table after the old stream is drained. Perhaps they are copied back later.
    Orderly,
    /// The same, but the old stream is not drained: its last records may be delivered after the switch.
    Lagging,
    /// A replica of the table exists, and both streams are read.
    Replica,
}

/// The probabilities of faults, for each call to the feed.
#[derive(Clone, Copy, Debug, Default)]
pub struct FeedFaults {
    /// The call has no effect and fails.
    pub throttled: f64,
    /// The call takes effect and fails.
    pub answer_lost: f64,
    /// The call never returns.
    pub hangs: f64,
    /// The call takes seconds.
    pub slow: f64,
    /// The process dies at the call, before or after its effect.
    pub killed: f64,
    /// The call panics.
    pub panics: f64,
    /// Eventually consistent reads lag by at most this.
    pub lag: Duration,
}

/// The probabilities of faults, for each batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceFaults {
    /// A batch begins with records that were delivered before.
    pub repeated: f64,
    /// A batch is delivered a second time, perhaps at the same time.
    pub doubled: f64,
    /// The source delivers nothing for seconds to hours.
    pub stalls: f64,
}

/// The probabilities of faults of the wake.
#[derive(Clone, Copy, Debug, Default)]
pub struct WakeFaults {
    /// A message does not arrive.
    pub lost: f64,
    /// It takes up to a minute.
    pub late: f64,
    /// It arrives twice.
    pub repeated: f64,
    /// Another message names an entry that does not exist.
    pub wrong: f64,
    /// A connection is lost within two minutes.
    pub disconnects: f64,
}

/// The probabilities of faults, for each connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetFaults {
    /// It is cut after some bytes.
    pub cut: f64,
    /// It is reset after some time.
    pub reset: f64,
    /// There is no response, or only the platform's, such as 429 or 502.
    pub refused: f64,
    /// The client reads slowly.
    pub slow: f64,
    /// Nothing arrives any more, without an error.
    pub stalled: f64,
    /// A new process serves it.
    pub cold: f64,
}

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;

impl Plan {
    /// Draws a plan. Each world has only some kinds of faults, because faults can hide each other.
    pub fn draw(random: &mut Rng) -> Self {
        // From 2026 to 2046, because code that computes with dates must work for years.
        let epoch = Duration::from_secs(1_795_392_000 + random.u64(0..20 * 365) * 86_400);
        let acts = acts(random);
        let on_remove = random.one(&["end", "end", "ignore"]);
        let switch = random.one(&[Switch::Orderly, Switch::Lagging, Switch::Replica]);
        let switch = random
            .chance(0.3)
            .then_some(switch)
            .filter(|_| on_remove == "end");
        let token_lifetime = random.chance(0.2).then(|| token_lifetime(random));
        let skewed = token_lifetime.is_none() && random.chance(0.3);
        let mut variables = variables(random, on_remove);
        // From a generator of its own, so that worlds without a wake stay as they were.
        let wake = wake(&mut Rng::with_seed(random.clone().u64(..)), &mut variables);
        // So that worlds without customers stay as they were, too.
        let own = &mut Rng::with_seed(random.clone().u64(..) ^ 1);
        let customers = customers(own, skewed, &mut variables);
        // Tokens name the customers.
        let token_lifetime = match customers.is_empty() {
            true => token_lifetime,
            false => token_lifetime.or(Some(Duration::from_secs(30 * 86_400))),
        };
        Self {
            epoch,
            deployments: deployments(random, &acts),
            acts,
            variables,
            orders: random.usize(2..8),
            chatty: random.chance(0.01),
            returns: random.chance(0.1),
            silent_deletions: switch.is_none(),
            token_lifetime,
            timeout: Duration::from_secs(random.one(&[20, 70, 70, 900])),
            switch,
            feed: feed_faults(random),
            source: source_faults(random),
            net: net_faults(random),
            wake,
            skew: if skewed {
                random.magnitude(0.1, 600.0)
            } else {
                Duration::ZERO
            },
            customers,
        }
    }

    /// When the last busy time ends.
    pub fn end(&self) -> Duration {
        self.acts.last().map_or(Duration::ZERO, Act::end)
    }
}

/// Some tokens expire within a few rests, or during a response.
fn token_lifetime(random: &mut Rng) -> Duration {
    match random.bool() {
        true => random.between(60.0, 180.0),
        false => random.between(90.0, 300.0),
    }
}

fn acts(random: &mut Rng) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut start = Duration::from_secs(1);
    for _ in 0..random.one(&[1, 1, 2, 2, 3, 4]) {
        let length = random.magnitude(20.0, 240.0);
        acts.push(Act { start, length });
        let gap = [
            (5.0, 120.0),
            (120.0, 3.0 * HOUR),
            (DAY, 4.0 * DAY),
            (4.0 * DAY, 45.0 * DAY),
        ];
        let (shortest, longest) = random.one(&gap);
        start += length + random.magnitude(shortest, longest);
    }
    acts
}

fn variables(random: &mut Rng, on_remove: &str) -> Variables {
    let mut variables = Variables::from([
        ("FEED_TABLE", "in memory".to_owned()),
        ("ON_REMOVE", on_remove.to_owned()),
        (
            "HOLD",
            random.one(&["auto", "auto", "auto", "always"]).to_owned(),
        ),
        ("WINDOW", random.one(&["60s", "60s", "20s"]).to_owned()),
        (
            "POLL_INTERVAL",
            random.one(&["500ms", "1s", "2s"]).to_owned(),
        ),
        ("HEARTBEAT", random.one(&["15s", "5s"]).to_owned()),
        ("FRESHNESS", random.one(&["900ms", "3s", "10s"]).to_owned()),
        ("MAX_REST", random.one(&["60s", "60s", "10s"]).to_owned()),
        ("RETENTION", random.one(&["30d", "2d", "2d"]).to_owned()),
        ("PUBLIC_ATTRIBUTES", public(random.chance(0.5))),
        ("TERMINAL_STATUSES", terminal(random.chance(0.5))),
    ]);
    variables.insert("ACCESS", "open".to_owned());
    variables
}

fn public(with_more: bool) -> String {
    let always = ALWAYS_PUBLIC.join(",");
    if with_more {
        format!("{always},{SOMETIMES_PUBLIC}")
    } else {
        always
    }
}

fn terminal(with_more: bool) -> String {
    let more = if with_more { ",OUT_FOR_DELIVERY" } else { "" };
    format!("DELIVERED,CANCELLED,RETURNED{more}")
}

fn deployments(random: &mut Rng, acts: &[Act]) -> Vec<(Duration, Variables)> {
    let mut deployments = Vec::new();
    if !random.chance(0.4) {
        return deployments;
    }
    for _ in 0..random.usize(1..4) {
        let act = random.one(acts);
        let at = act.start + act.length.mul_f64(random.f64());
        match random.usize(..4) {
            0 => deployments.push((at, [("PUBLIC_ATTRIBUTES", public(random.bool()))].into())),
            1 => {
                // Most orders end in DELIVERED. If that becomes terminal or not, touching them must change them.
                let statuses = match random.bool() {
                    true => terminal(true),
                    false => "CANCELLED,RETURNED".to_owned(),
                };
                deployments.push((at, [("TERMINAL_STATUSES", statuses)].into()));
            }
            2 => deployments.push((
                at,
                [("RETENTION", random.one(&["2d", "9d", "30d"]).to_owned())].into(),
            )),
            _ => {
                // A wrong setting, which is corrected after a while.
                let corrected = at + random.magnitude(5.0, 2.0 * HOUR);
                let (name, right) = random.one(&[
                    ("STATUS_ATTRIBUTE", "status"),
                    ("ORDER_ID_ATTRIBUTE", "orderId"),
                ]);
                deployments.push((at, [(name, WRONG.to_owned())].into()));
                deployments.push((corrected, [(name, right.to_owned())].into()));
            }
        }
    }
    deployments.sort_by_key(|(at, _)| *at);
    deployments
}

/// Half of the worlds have this fault. Its probability is between rare and frequent.
fn some(random: &mut Rng, longest: f64) -> f64 {
    if random.bool() {
        longest * random.f64().powi(2)
    } else {
        0.0
    }
}

fn feed_faults(random: &mut Rng) -> FeedFaults {
    let (shortest, longest) = random.one(&[(0.0, 0.1), (0.1, 3.0), (0.1, 20.0)]);
    FeedFaults {
        throttled: some(random, 0.1),
        answer_lost: some(random, 0.1),
        hangs: some(random, 0.02),
        slow: some(random, 0.1),
        killed: some(random, 0.05),
        panics: some(random, 0.01),
        lag: random.between(shortest, longest),
    }
}

fn source_faults(random: &mut Rng) -> SourceFaults {
    SourceFaults {
        repeated: some(random, 0.3),
        doubled: some(random, 0.2),
        stalls: some(random, 0.1),
    }
}

fn net_faults(random: &mut Rng) -> NetFaults {
    NetFaults {
        cut: some(random, 0.6),
        reset: some(random, 0.4),
        refused: some(random, 0.3),
        slow: some(random, 0.3),
        stalled: some(random, 0.1),
        cold: some(random, 0.2),
    }
}

fn customers(random: &mut Rng, skewed: bool, variables: &mut Variables) -> &'static [&'static str] {
    // Tokens do not work if clocks are wrong.
    if skewed || !random.chance(0.4) {
        return &[];
    }
    variables.insert("CUSTOMER_ATTRIBUTE", "customer".to_owned());
    variables.insert("JWT_CUSTOMER_CLAIM", "customer".to_owned());
    &CUSTOMERS
}

fn wake(random: &mut Rng, variables: &mut Variables) -> Option<WakeFaults> {
    if !random.chance(0.4) {
        return None;
    }
    // Only held responses are woken.
    if random.bool() {
        variables.insert("HOLD", "always".to_owned());
    }
    let poll_interval = random.one(&["5s", "30s", "2m"]).to_owned();
    variables.insert("WAKE_POLL_INTERVAL", poll_interval);
    Some(WakeFaults {
        lost: some(random, 0.5),
        late: some(random, 0.5),
        repeated: some(random, 0.5),
        wrong: some(random, 0.3),
        disconnects: some(random, 1.0),
    })
}
