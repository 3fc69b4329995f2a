//! The settings of CORS: `ALLOWED_ORIGINS`, `ALLOWED_HEADERS` and `ALLOW_CREDENTIALS`.

use super::reader::Reader;
use crate::cors::{CorsSettings, Origins};

/// What the client sends.
const NEEDED: [&str; 2] = ["authorization", "last-event-id"];

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    pub(super) fn cors(&mut self) -> CorsSettings {
        let origins = self.origins();
        let headers = self.get("ALLOWED_HEADERS");
        let headers = headers.unwrap_or_else(|| NEEDED.join(","));
        if !are_headers(&headers) {
            self.error(format!(
                "ALLOWED_HEADERS is {headers:?}, it must be names in lower case, separated by commas, with \
                 authorization and last-event-id among them"
            ));
        }
        let credentials = self.one_of("ALLOW_CREDENTIALS", &[("false", false), ("true", true)]);
        if credentials && origins == Origins::Any {
            self.error(
                "ALLOW_CREDENTIALS is true, so ALLOWED_ORIGINS must name the origins of your pages instead of *"
                    .to_owned(),
            );
        }
        CorsSettings {
            origins,
            headers,
            credentials,
        }
    }

    fn origins(&mut self) -> Origins {
        let text = self.get("ALLOWED_ORIGINS").unwrap_or_default();
        if text == "*" {
            return Origins::Any;
        }
        let origins = text.split(',').filter(|_| !text.is_empty());
        let origins: Vec<_> = origins.map(str::to_owned).collect();
        if let Some(wrong) = origins.iter().find(|origin| !is_origin(origin)) {
            self.error(format!(
                "ALLOWED_ORIGINS contains {wrong:?}, it must be * alone, or origins in lower case such as \
                 https://shop.example,https://www.shop.example, without spaces, paths or a slash at the end"
            ));
        }
        Origins::These(origins)
    }
}

/// A scheme and a host, as a browser sends them.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let in_scheme = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+.-".contains(c);
    let in_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".:[]-".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.chars().all(in_scheme)
        && !host.is_empty()
        && host.chars().all(in_host)
}

fn are_headers(text: &str) -> bool {
    let in_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    let is_name = |name: &str| !name.is_empty() && name.chars().all(in_name);
    let has = |needed: &&str| text.split(',').any(|name| name == *needed);
    text.split(',').all(is_name) && NEEDED.iter().all(has)
}
