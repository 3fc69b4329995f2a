//! The settings, which are read from the environment once at start. One error names all variables that are missing or
//! malformed.

mod access;
mod cors;
mod duration;
mod metrics;
mod orders;
mod prices;
mod reader;
mod wake;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::access::{AccessSettings, TokenLimits};
use crate::cors::CorsSettings;
use crate::hold::{Policy, SHORTEST_REST};
use crate::projector::Rules;
use crate::wake::WakeUrl;
use duration::{DAY, Limits, days, seconds};
pub use metrics::MetricsSettings;
use reader::Reader;
use wake::WAKE_POLL_INTERVAL;

/// The settings of the function `projector`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectorSettings {
    /// `FEED_TABLE`
    pub feed_table: String,
    /// `ORDER_ID_ATTRIBUTE`, `ORDER_KEY`, `STATUS_ATTRIBUTE`, `STATUS_NAMES`, `UPDATED_AT_ATTRIBUTE`, `CUSTOMER_ATTRIBUTE`, `PUBLIC_ATTRIBUTES`,
    /// `TERMINAL_STATUSES`, `ON_REMOVE`
    pub rules: Rules,
    /// `RETENTION`
    pub retention: Duration,
    /// `KAFKA_TOPIC_GENERATION`: another value for a topic that was deleted and created again.
    pub topic_generation: Option<String>,
    /// `WAKE_URL`: where new entries are published.
    pub wake_url: Option<WakeUrl>,
    /// `METRICS`, `STACK_NAME`
    pub metrics: MetricsSettings,
}

/// The settings of the function `stream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// `FEED_TABLE`
    pub feed_table: String,
    /// `WINDOW`: the longest time for which a response is held.
    pub window: Duration,
    /// `POLL_INTERVAL`: the time between two polls of an order while a response is held.
    pub poll_interval: Duration,
    /// `HEARTBEAT`: the time without an event after which a comment is sent.
    pub heartbeat: Duration,
    /// `PUBLIC_ATTRIBUTES`: the names of the attributes that are shown in addition to the status. They apply to older changes too,
    /// which may have been projected when more attributes were public.
    pub public_attributes: BTreeSet<String>,
    /// `HOLD`, `FRESHNESS`, `MAX_REST`, `REQUEST_PRICE`, `DURATION_PRICE`: when a response ends early. `None` means that each
    /// response is held for the whole window.
    pub policy: Option<Policy>,
    /// `ACCESS`, `JWKS`, `JWT_ISSUER`, `JWT_AUDIENCE`, `JWT_ORDERS_CLAIM`, `JWT_CUSTOMER_CLAIM`, `JWT_LEEWAY`,
    /// `TOKEN_HEADER`: who may watch.
    pub access: AccessSettings,
    /// `TOKEN_STREAMS`, `TOKEN_OPENINGS`: how much one token may open.
    pub token_limits: TokenLimits,
    /// `BASE_PATH`: the part of a path before `/orders/` and `/customers/`. Empty, or begins with `/` and does not end with `/`.
    pub base_path: String,
    /// `ALLOWED_ORIGINS`, `ALLOWED_HEADERS`, `ALLOW_CREDENTIALS`: what pages of other origins may do, if the service that invoked
    /// the function does not answer that itself.
    pub cors: CorsSettings,
    /// `WAKE_URL`: where new entries are published, so that held responses show them at once.
    pub wake_url: Option<WakeUrl>,
    /// `WAKE_POLL_INTERVAL`: the time between two polls of an order while its messages arrive.
    pub wake_poll_interval: Duration,
    /// `METRICS`, `STACK_NAME`
    pub metrics: MetricsSettings,
}

/// What is wrong with the environment, a sentence for each variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsError(Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid environment: {}", self.0.join("; "))
    }
}

impl std::error::Error for SettingsError {}

/// Stream records exist for 24 hours, and can be delivered again during that time. The entries that they are compared with must
/// exist longer. No shop shows its customers orders that are older than ten years.
const RETENTION: Limits = Limits {
    units: &[DAY],
    range: days(2)..=days(3650),
};

/// Lambda stops a function after 15 minutes.
const WINDOW: Limits = Limits::up_to_minutes(seconds(1)..=seconds(900));

/// Below 20 ms, polls overlap. Above 10 s, a rest is cheaper and shows a change earlier.
const POLL_INTERVAL: Limits = Limits::up_to_minutes(Duration::from_millis(20)..=seconds(10));

/// Proxies and load balancers close a connection without traffic after 60 s. This is the default of nginx and of AWS's
/// Application Load Balancer.
const HEARTBEAT: Limits = Limits::up_to_minutes(seconds(1)..=seconds(55));

/// `FRESHNESS` is the delay of a change that comes about once in ten minutes. So a longer one has no meaning.
const FRESHNESS: Limits = Limits::up_to_minutes(Duration::from_millis(100)..=seconds(600));

/// A page that checks in less than once an hour is not watching an order.
const MAX_REST: Limits = Limits::up_to_minutes(SHORTEST_REST..=seconds(3600));

impl ProjectorSettings {
    /// Reads the settings from variables.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] names all variables that are missing or malformed.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(variable);
        let settings = Self {
            feed_table: reader.required("FEED_TABLE"),
            rules: reader.rules(),
            retention: reader.duration("RETENTION", "30d", RETENTION),
            topic_generation: reader.topic_generation(),
            wake_url: reader.wake_url(),
            metrics: reader.metrics(),
        };
        reader.done(settings)
    }
}

impl StreamSettings {
    /// Reads the settings from variables.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] names all variables that are missing or malformed.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(variable);
        let feed_table = reader.required("FEED_TABLE");
        let window = reader.duration("WINDOW", "60s", WINDOW);
        let poll_interval = reader.duration("POLL_INTERVAL", "500ms", POLL_INTERVAL);
        let heartbeat = reader.duration("HEARTBEAT", "15s", HEARTBEAT);
        let prices = reader.prices();
        let holds = reader.one_of("HOLD", &[("auto", false), ("always", true)]);
        let policy = Policy {
            freshness: reader.duration("FRESHNESS", "900ms", FRESHNESS),
            max_rest: reader.duration("MAX_REST", "60s", MAX_REST),
            poll_interval,
            prices,
        };
        let settings = Self {
            feed_table,
            window,
            poll_interval,
            heartbeat,
            public_attributes: reader.public_attributes().into_keys().collect(),
            policy: (!holds).then_some(policy),
            access: reader.access(),
            token_limits: reader.token_limits(),
            base_path: reader.base_path(),
            cors: reader.cors(),
            wake_url: reader.wake_url(),
            wake_poll_interval: reader.duration("WAKE_POLL_INTERVAL", "30s", WAKE_POLL_INTERVAL),
            metrics: reader.metrics(),
        };
        reader.done(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Status;
    use crate::prices::Prices;
    use crate::projector::{OnRemove, OrderKey, Path};

    fn variables<'a>(pairs: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            pairs
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let projector =
            ProjectorSettings::read(variables(&[("FEED_TABLE", "Feed")])).expect("complete");
        let image = &projector.rules.image;
        assert_eq!(projector.rules.key, OrderKey::whole("orderId"));
        assert_eq!(image.status, Path::new("status"));
        assert_eq!(image.updated_at, Path::new("updatedAt"));
        assert!(image.public_attributes.is_empty() && image.status_names.is_empty());
        assert_eq!(projector.rules.on_remove, OnRemove::End);
        assert_eq!(projector.retention, Duration::from_secs(30 * 86_400));
        let terminal = image.terminal_statuses.iter().map(Status::as_str);
        let terminal: Vec<_> = terminal.collect();
        let expected = ["CANCELED", "CANCELLED", "DELIVERED", "REFUNDED", "RETURNED"];
        assert_eq!(terminal, expected);

        let stream = StreamSettings::read(variables(&[("FEED_TABLE", "Feed"), ("ACCESS", "open")]))
            .expect("complete");
        assert_eq!(stream.window, Duration::from_secs(60));
        assert_eq!(stream.poll_interval, Duration::from_millis(500));
        assert_eq!(stream.heartbeat, Duration::from_secs(15));
        let policy = Policy {
            freshness: Duration::from_millis(900),
            max_rest: Duration::from_secs(60),
            poll_interval: stream.poll_interval,
            prices: Prices::default(),
        };
        assert_eq!(stream.policy, Some(policy));
        assert_eq!(stream.wake_poll_interval, Duration::from_secs(30));
        assert_eq!((stream.wake_url, projector.wake_url), (None, None));
    }

    #[test]
    fn lists_and_empty_variables() {
        let pairs = [
            ("FEED_TABLE", "Feed"),
            ("PUBLIC_ATTRIBUTES", " eta, carrier,,"),
            ("ON_REMOVE", ""),
        ];
        let settings = ProjectorSettings::read(variables(&pairs)).expect("complete");
        let public: BTreeSet<_> = settings.rules.image.public_attributes.into_keys().collect();
        assert_eq!(public, ["carrier", "eta"].map(str::to_owned).into());
        assert_eq!(settings.rules.on_remove, OnRemove::End);
        let pairs = [pairs[0], pairs[1], ("ACCESS", "open")];
        let stream = StreamSettings::read(variables(&pairs)).expect("complete");
        assert_eq!(stream.public_attributes, public);
    }

    #[test]
    fn every_error_is_named_at_once() {
        let error =
            ProjectorSettings::read(variables(&[("ON_REMOVE", "explode"), ("RETENTION", "1d")]));
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err("invalid environment: FEED_TABLE is required; \
                 ON_REMOVE is \"explode\", it must be end or ignore; \
                 RETENTION is 1d, it must be from 2d to 3650d"
                .to_owned())
        );
        let error = StreamSettings::read(variables(&[("WINDOW", "soon"), ("HEARTBEAT", "0s")]));
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err("invalid environment: FEED_TABLE is required; \
                 WINDOW is \"soon\", it must be a duration such as 60s: a whole number of ms or s or m; \
                 HEARTBEAT is 0s, it must be from 1s to 55s; \
                 JWKS is required (a JSON Web Key Set or its https URL), unless ACCESS is open, \
                 which lets anyone who knows an order's id watch it"
                .to_owned())
        );
    }
}
