//! The environment, read once at start; every variable that is missing or malformed is named in one error.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::access::{AccessSettings, KeySource};
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
    /// `ACCESS`, `JWKS`, `JWT_ISSUER`, `JWT_AUDIENCE`: who may watch.
    pub access: AccessSettings,
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
/// live longer.
const MIN_RETENTION: Duration = Duration::from_secs(2 * 24 * 60 * 60);

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
                order_id_attribute: reader.text("ORDER_ID_ATTRIBUTE", "orderId"),
                status_attribute: reader.text("STATUS_ATTRIBUTE", "status"),
                updated_at_attribute: reader.text("UPDATED_AT_ATTRIBUTE", "updatedAt"),
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
            retention: reader.duration("RETENTION", "30d", MIN_RETENTION),
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
        let window = reader.duration("WINDOW", "60s", Duration::from_secs(1));
        let poll_interval = reader.duration("POLL_INTERVAL", "500ms", Duration::from_millis(20));
        let heartbeat = reader.duration("HEARTBEAT", "15s", Duration::from_secs(1));
        let holds = reader.one_of("HOLD", &[("auto", false), ("always", true)]);
        let policy = Policy {
            freshness: reader.duration("FRESHNESS", "900ms", Duration::from_millis(100)),
            max_rest: reader.duration("MAX_REST", "60s", SHORTEST_REST),
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
        };
        reader.done(settings)
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

    fn list(&self, name: &str, default: &str) -> impl Iterator<Item = String> + use<V> {
        let items: BTreeSet<_> = self
            .text(name, default)
            .split(',')
            .map(|item| item.trim().to_owned())
            .collect();
        items.into_iter().filter(|item| !item.is_empty())
    }

    fn duration(&mut self, name: &str, default: &str, min: Duration) -> Duration {
        let text = self.text(name, default);
        match humantime::parse_duration(&text) {
            Ok(duration) if duration >= min => return duration,
            Ok(_) => self.errors.push(format!(
                "{name} is {text}, it must be at least {}",
                humantime::format_duration(min)
            )),
            Err(_) => self.errors.push(format!(
                "{name} is {text:?}, it must be a duration such as 250ms, 15s, 2m or 30d"
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
                keys,
                issuer: self.get("JWT_ISSUER"),
                audience: self.get("JWT_AUDIENCE"),
            },
            Err(error) => {
                self.errors.push(format!("JWKS is not right: {error}"));
                AccessSettings::Open
            }
        }
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
            ProjectorSettings::read(variables(&[("ON_REMOVE", "explode"), ("RETENTION", "1h")]));
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err("the environment is not right: FEED_TABLE is required; \
                 ON_REMOVE is \"explode\", it must be end or ignore; \
                 RETENTION is 1h, it must be at least 2days"
                .to_owned())
        );
        let error = StreamSettings::read(variables(&[("WINDOW", "soon"), ("HEARTBEAT", "0s")]));
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err("the environment is not right: FEED_TABLE is required; \
                 WINDOW is \"soon\", it must be a duration such as 250ms, 15s, 2m or 30d; \
                 HEARTBEAT is 0s, it must be at least 1s; \
                 JWKS is required (a JSON Web Key Set or its https URL), unless ACCESS is open, \
                 which lets anyone who knows an order's id watch it"
                .to_owned())
        );
    }
}
