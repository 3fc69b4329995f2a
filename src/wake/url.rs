//! The address of the server. Pure.

use std::fmt;

/// A URL of Valkey or Redis: `redis://` or `rediss://` (TLS), then `user:password@`, a host, a port and a database, of which
/// only the host is required.
///
/// It may contain a password, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WakeUrl(String);

impl WakeUrl {
    /// `None` unless the text has that form. `template.yaml` has the same as a pattern.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text
            .strip_prefix("rediss://")
            .or_else(|| text.strip_prefix("redis://"))?;
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        let (address, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        };
        let is_url = credentials.is_none_or(are_credentials)
            && is_host(host)
            && port.is_none_or(is_port)
            && database.len() <= 4
            && database.bytes().all(|byte| byte.is_ascii_digit());
        is_url.then(|| Self(text.to_owned()))
    }

    /// The URL with its password. Only for the client library.
    #[cfg(feature = "wake")]
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// A password with other characters is percent-encoded.
fn are_credentials(text: &str) -> bool {
    let mut parts = text.split('%');
    let plain = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(&byte))
    };
    let encoded = |part: &str| {
        let hex = part.get(..2).unwrap_or_default();
        hex.len() == 2 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) && plain(&part[2..])
    };
    parts.next().is_some_and(plain) && parts.all(encoded)
}

fn is_host(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.bytes().all(allowed)
}

fn is_port(port: &str) -> bool {
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    is_number && port.parse::<u16>().is_ok()
}

impl fmt::Debug for WakeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WakeUrl(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for url in [
            "redis://cache",
            "redis://cache:6379",
            "redis://10.0.0.7:6379/0",
            "rediss://my-cache.abc123.use1.cache.amazonaws.com:6379",
            "rediss://user:pass@cache:6379/15",
            "rediss://:p%40ss@cache",
            "rediss://:a!b$c@cache/",
        ] {
            assert!(WakeUrl::parse(url).is_some(), "{url}");
        }
        for url in [
            "",
            "cache:6379",
            "http://cache",
            "redis://",
            "redis://:6379",
            "redis://cache:0",
            "redis://cache:65536",
            "redis://cache:",
            "redis://cache/one",
            "redis://cache/0?protocol=resp3",
            "redis://a@b@cache",
            "redis://:p%4@cache",
            "redis://:p s@cache",
            "redis://cache ",
            " redis://cache",
            "rediss://cache/#insecure",
            "unix:///run/valkey",
        ] {
            assert_eq!(WakeUrl::parse(url), None, "{url}");
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let url = WakeUrl::parse("rediss://:hush5f3c@cache").expect("a URL");
        assert_eq!(format!("{url:?}"), "WakeUrl(hidden)");
    }
}
