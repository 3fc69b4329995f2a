//! The environment, read once at start; every variable that is missing or malformed is named in one error.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::access::{AccessSettings, ClaimSettings, KeySource};
use crate::change::{OnRemove, Rules};
use crate::hold::{Policy, SHORTEST_REST};
use crate::order::Status;

/// Of the function `projector`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectorSettings {
    /// `FEED_TABLE`
    pub feed_table: String,
    /// `ORDER_ID_ATTRIBUTE`, `STATUS_ATTRIBUTE`, `UPDATED_AT_ATTRIBUTE`, `PUBLIC_ATTRIBUTES`, `TERMINAL_STATUSES`,
    /// `ON_REMOVE`
    pub rules: Rules,
    /// `RETENTION`
    pub retention: Duration,
}

/// Of the function `stream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// `FEED_TABLE`
    pub feed_table: String,
    /// `WINDOW`: the longest a response is held.
    pub window: Duration,
    /// `POLL_INTERVAL`: how often a held stream looks at the feed.
    pub poll_interval: Duration,
    /// `HEARTBEAT`: silence after which a comment is sent.
    pub heartbeat: Duration,
    /// `PUBLIC_ATTRIBUTES`: what is shown of an order beside its status, also of changes that were projected when more was
    /// public.
    pub public_attributes: BTreeSet<String>,
    /// `HOLD`, `FRESHNESS`, `MAX_REST`: when a response ends early. `None` holds each for its whole window.
    pub policy: Option<Policy>,
    /// `ACCESS`, `JWKS`, `JWT_ISSUER`, `JWT_AUDIENCE`, `JWT_ORDERS_CLAIM`, `JWT_LEEWAY`: who may watch.
    pub access: AccessSettings,
    /// `BASE_PATH`: what stands before `/orders/` in a path. Empty, or begins with `/` and ends without.
    pub base_path: String,
}

/// What is wrong with the environment, a line a variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsError(Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment is not right: {}", self.0.join("; "))
    }
}

impl std::error::Error for SettingsError {}

/// A stream record lives for 24 hours, and may be delivered again as long. An entry that it could be compared with must
/// live longer. Ten years is more than any shop shows an order to its customer.
const RETENTION: Limits = Limits {
    units: &[DAY],
    range: days(2)..=days(3650),
};

/// No response is held longer than Lambda lets a function run, which is 15 minutes.
const WINDOW: Limits = Limits::moments(seconds(1)..=seconds(900));

/// Below 20 ms, readings overlap. Above 10 s, a rest is cheaper and shows a change sooner.
const POLL_INTERVAL: Limits = Limits::moments(Duration::from_millis(20)..=seconds(10));

/// Proxies and load balancers close a connection that was silent for 60 s: nginx and AWS's Application Load Balancer by
/// default.
const HEARTBEAT: Limits = Limits::moments(seconds(1)..=seconds(55));

/// It is the delay of a change that comes about once in ten minutes, so a longer one means nothing.
const FRESHNESS: Limits = Limits::moments(Duration::from_millis(100)..=seconds(600));

/// A page that checks in less than once an hour does not watch.
const MAX_REST: Limits = Limits::moments(SHORTEST_REST..=seconds(3600));

/// RFC 7519, section 4.1.4, speaks of "no more than a few minutes". An expired token is good for so long.
const JWT_LEEWAY: Limits = Limits::moments(Duration::ZERO..=seconds(300));

impl ProjectorSettings {
    /// Reads the settings from variables.
    ///
    /// # Errors
    ///
    /// Names every variable that is missing or malformed.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(variable);
        let settings = Self {
            feed_table: reader.required("FEED_TABLE"),
            rules: Rules {
                order_id_attribute: reader.word("ORDER_ID_ATTRIBUTE", "orderId"),
                status_attribute: reader.word("STATUS_ATTRIBUTE", "status"),
                updated_at_attribute: reader.word("UPDATED_AT_ATTRIBUTE", "updatedAt"),
                public_attributes: reader.list("PUBLIC_ATTRIBUTES", "").collect(),
                terminal_statuses: reader
                    .list("TERMINAL_STATUSES", "DELIVERED,CANCELLED,RETURNED,REFUNDED")
                    .filter_map(Status::new)
                    .collect(),
                on_remove: reader.one_of(
                    "ON_REMOVE",
                    &[("end", OnRemove::End), ("ignore", OnRemove::Ignore)],
                ),
            },
            retention: reader.duration("RETENTION", "30d", RETENTION),
        };
        reader.done(settings)
    }
}

impl StreamSettings {
    /// Reads the settings from variables.
    ///
    /// # Errors
    ///
    /// Names every variable that is missing or malformed.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(variable);
        let feed_table = reader.required("FEED_TABLE");
        let window = reader.duration("WINDOW", "60s", WINDOW);
        let poll_interval = reader.duration("POLL_INTERVAL", "500ms", POLL_INTERVAL);
        let heartbeat = reader.duration("HEARTBEAT", "15s", HEARTBEAT);
        let holds = reader.one_of("HOLD", &[("auto", false), ("always", true)]);
        let policy = Policy {
            freshness: reader.duration("FRESHNESS", "900ms", FRESHNESS),
            max_rest: reader.duration("MAX_REST", "60s", MAX_REST),
            poll_interval,
        };
        let settings = Self {
            feed_table,
            window,
            poll_interval,
            heartbeat,
            public_attributes: reader.list("PUBLIC_ATTRIBUTES", "").collect(),
            policy: (!holds).then_some(policy),
            access: reader.access(),
            base_path: reader.base_path(),
        };
        reader.done(settings)
    }
}

/// How a duration is written: a whole number and one unit, so that a template's `AllowedPattern` can check all of it.
type Unit = (&'static str, Duration);

const MILLISECOND: Unit = ("ms", Duration::from_millis(1));
const SECOND: Unit = ("s", seconds(1));
const MINUTE: Unit = ("m", seconds(60));
const DAY: Unit = ("d", days(1));

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn days(days: u64) -> Duration {
    seconds(days * 86_400)
}

/// What a duration may be. `template.yaml` says the same of its parameters; tests/template compares the two.
struct Limits {
    /// From the smallest to the largest.
    units: &'static [Unit],
    range: RangeInclusive<Duration>,
}

impl Limits {
    /// Of what happens while a stream is open.
    const fn moments(range: RangeInclusive<Duration>) -> Self {
        let units = &[MILLISECOND, SECOND, MINUTE];
        Self { units, range }
    }

    /// `None` if it is not a number of one of the units. What is too large for a [`Duration`] is the largest one.
    fn parse(&self, text: &str) -> Option<Duration> {
        let digits = text.find(|char: char| !char.is_ascii_digit())?;
        let (number, name) = text.split_at(digits);
        let (_, unit) = self.units.iter().find(|(known, _)| *known == name)?;
        if number.is_empty() || (number.starts_with('0') && number != "0") {
            return None;
        }
        let number: u32 = number.parse().unwrap_or(u32::MAX);
        Some(unit.saturating_mul(number))
    }

    /// In the largest unit that shows it exactly. Nothing is `0ms`.
    fn display(&self, duration: Duration) -> String {
        let (name, unit) = self
            .units
            .iter()
            .rfind(|(_, unit)| {
                duration >= *unit && duration.as_millis().is_multiple_of(unit.as_millis())
            })
            .unwrap_or(&MILLISECOND);
        format!("{}{name}", duration.as_millis() / unit.as_millis())
    }

    fn unit_names(&self) -> String {
        let names: Vec<_> = self.units.iter().map(|(name, _)| *name).collect();
        names.join(" or ")
    }
}

struct Reader<V> {
    variable: V,
    errors: Vec<String>,
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    fn new(variable: V) -> Self {
        Self {
            variable,
            errors: Vec::new(),
        }
    }

    fn done<T>(self, settings: T) -> Result<T, SettingsError> {
        if self.errors.is_empty() {
            Ok(settings)
        } else {
            Err(SettingsError(self.errors))
        }
    }

    /// A variable that is set to nothing counts as not set: a template's empty parameter arrives as one.
    fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str, default: &str) -> String {
        self.get(name).unwrap_or_else(|| default.to_owned())
    }

    fn required(&mut self, name: &str) -> String {
        self.get(name).unwrap_or_else(|| {
            self.errors.push(format!("{name} is required"));
            String::new()
        })
    }

    /// A text without control characters, and without a space at either end: those are slips of copying, and nothing
    /// would ever match. `None` if it is not set.
    fn optional_word(&mut self, name: &str) -> Option<String> {
        let text = self.get(name)?;
        let is_control = |char: char| char.is_ascii_control();
        if text.contains(is_control) || text.starts_with(' ') || text.ends_with(' ') {
            self.errors.push(format!(
                "{name} is {text:?}, it must not hold control characters, nor begin or end with a space"
            ));
        }
        Some(text)
    }

    fn word(&mut self, name: &str, default: &str) -> String {
        self.optional_word(name)
            .unwrap_or_else(|| default.to_owned())
    }

    /// Quotes and brackets are those of a list in JSON, whose first and last names would match nothing.
    fn list(&mut self, name: &str, default: &str) -> impl Iterator<Item = String> + use<V> {
        let text = self.text(name, default);
        if text.contains(|char: char| char.is_ascii_control() || "\"[]".contains(char)) {
            self.errors.push(format!(
                "{name} is {text:?}, it must be names on one line, separated by commas, without quotes and brackets"
            ));
        }
        let items: BTreeSet<_> = text.split(',').map(|item| item.trim().to_owned()).collect();
        items.into_iter().filter(|item| !item.is_empty())
    }

    fn duration(&mut self, name: &str, default: &str, limits: Limits) -> Duration {
        let text = self.text(name, default);
        let (min, max) = (*limits.range.start(), *limits.range.end());
        match limits.parse(&text) {
            Some(duration) if limits.range.contains(&duration) => return duration,
            Some(_) => self.errors.push(format!(
                "{name} is {text}, it must be from {} to {}",
                limits.display(min),
                limits.display(max)
            )),
            None => self.errors.push(format!(
                "{name} is {text:?}, it must be a duration such as {default}: a whole number of {}",
                limits.unit_names()
            )),
        }
        Duration::ZERO
    }

    /// The first choice is the default.
    fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> T {
        let text = self.text(name, choices[0].0);
        let chosen = choices.iter().find(|(choice, _)| *choice == text);
        chosen
            .unwrap_or_else(|| {
                let names = choices
                    .iter()
                    .map(|(choice, _)| *choice)
                    .collect::<Vec<_>>()
                    .join(" or ");
                self.errors
                    .push(format!("{name} is {text:?}, it must be {names}"));
                &choices[0]
            })
            .1
    }

    /// Streams that anybody can open must be asked for.
    fn access(&mut self) -> AccessSettings {
        if self.one_of("ACCESS", &[("jwt", false), ("open", true)]) {
            return AccessSettings::Open;
        }
        let Some(keys) = self.get("JWKS") else {
            self.errors.push(
                "JWKS is required (a JSON Web Key Set or its https URL), unless ACCESS is open, which lets anyone who knows \
                 an order's id watch it"
                    .to_owned(),
            );
            return AccessSettings::Open;
        };
        match KeySource::parse(&keys) {
            Ok(keys) => AccessSettings::Jwt {
                claims: self.claims(&keys),
                keys,
            },
            Err(error) => {
                self.errors.push(format!("JWKS is not right: {error}"));
                AccessSettings::Open
            }
        }
    }

    /// An issuer that publishes its keys often serves many tenants with them (Firebase, Entra). Then a signature alone
    /// proves nothing: RFC 8725, section 3.8. To take tokens of any issuer must be asked for.
    fn claims(&mut self, keys: &KeySource) -> ClaimSettings {
        let issuer = self.optional_word("JWT_ISSUER");
        if issuer.is_none() && matches!(keys, KeySource::Url(_)) {
            self.errors.push(
                "JWT_ISSUER is required if JWKS is a URL: set it to the iss of your issuer's tokens, or to * to take \
                 tokens of any issuer with these keys"
                    .to_owned(),
            );
        }
        ClaimSettings {
            issuer: issuer.filter(|issuer| issuer != "*"),
            audience: self.optional_word("JWT_AUDIENCE"),
            orders_claim: self.word("JWT_ORDERS_CLAIM", "orders"),
            leeway: self.duration("JWT_LEEWAY", "10s", JWT_LEEWAY),
        }
    }

    /// `/api`, `/api/` and `/shop/api` are base paths; `/` is none.
    fn base_path(&mut self) -> String {
        let text = self.text("BASE_PATH", "");
        let path = text.strip_suffix('/').unwrap_or(&text);
        let is_segment = |segment: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            !segment.is_empty() && segment.chars().all(allowed)
        };
        let is_path = match path.strip_prefix('/') {
            Some(segments) => segments.split('/').all(is_segment),
            None => path.is_empty(),
        };
        if !is_path {
            self.errors.push(format!(
                "BASE_PATH is {text:?}, it must be a path such as /api, of letters, digits and -._~"
            ));
        }
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(projector.rules.order_id_attribute, "orderId");
        assert_eq!(projector.rules.status_attribute, "status");
        assert_eq!(projector.rules.updated_at_attribute, "updatedAt");
        assert_eq!(projector.rules.public_attributes, BTreeSet::new());
        assert_eq!(projector.rules.on_remove, OnRemove::End);
        assert_eq!(projector.retention, Duration::from_secs(30 * 86_400));
        let terminal: Vec<_> = projector
            .rules
            .terminal_statuses
            .iter()
            .map(Status::as_str)
            .collect();
        assert_eq!(terminal, ["CANCELLED", "DELIVERED", "REFUNDED", "RETURNED"]);

        let stream = StreamSettings::read(variables(&[("FEED_TABLE", "Feed"), ("ACCESS", "open")]))
            .expect("complete");
        assert_eq!(stream.window, Duration::from_secs(60));
        assert_eq!(stream.poll_interval, Duration::from_millis(500));
        assert_eq!(stream.heartbeat, Duration::from_secs(15));
        let policy = Policy {
            freshness: Duration::from_millis(900),
            max_rest: Duration::from_secs(60),
            poll_interval: stream.poll_interval,
        };
        assert_eq!(stream.policy, Some(policy));
    }

    #[test]
    fn lists_and_empty_variables() {
        let pairs = [
            ("FEED_TABLE", "Feed"),
            ("PUBLIC_ATTRIBUTES", " eta, carrier,,"),
            ("ON_REMOVE", ""),
        ];
        let settings = ProjectorSettings::read(variables(&pairs)).expect("complete");
        assert_eq!(
            settings.rules.public_attributes,
            ["carrier", "eta"].map(str::to_owned).into()
        );
        assert_eq!(settings.rules.on_remove, OnRemove::End);
        let pairs = [pairs[0], pairs[1], ("ACCESS", "open")];
        let stream = StreamSettings::read(variables(&pairs)).expect("complete");
        assert_eq!(stream.public_attributes, settings.rules.public_attributes);
    }

    #[test]
    fn every_error_is_named_at_once() {
        let error =
            ProjectorSettings::read(variables(&[("ON_REMOVE", "explode"), ("RETENTION", "1d")]));
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err("the environment is not right: FEED_TABLE is required; \
                 ON_REMOVE is \"explode\", it must be end or ignore; \
                 RETENTION is 1d, it must be from 2d to 3650d"
                .to_owned())
        );
        let error = StreamSettings::read(variables(&[("WINDOW", "soon"), ("HEARTBEAT", "0s")]));
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err("the environment is not right: FEED_TABLE is required; \
                 WINDOW is \"soon\", it must be a duration such as 60s: a whole number of ms or s or m; \
                 HEARTBEAT is 0s, it must be from 1s to 55s; \
                 JWKS is required (a JSON Web Key Set or its https URL), unless ACCESS is open, \
                 which lets anyone who knows an order's id watch it"
                .to_owned())
        );
    }
}
