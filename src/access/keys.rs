//! The public keys that tokens are verified with: a JSON Web Key Set (RFC 7517). Pure.
//!
//! Keys are read as leniently as is safe, because issuers publish what their own libraries write. Firebase's moduli had a
//! leading zero byte for years, and other issuers pad their base64 or leave `key_ops` empty. A key that cannot be read is
//! skipped, as in `jose`, PyJWT and go-jose, so that the other keys can still be used.

use http::Uri;
use jsonwebtoken::Header;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::key::{Key, is_absent};

/// `JWKS`: the source of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The variable contains the key set.
    Inline(KeySet),
    /// The variable contains the key set's https URL.
    Url(Uri),
}

/// The keys of a set that can verify a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
    /// A description of each invalid key.
    broken: Vec<String>,
}

/// Why a text is neither a [`KeySet`] nor a URL of one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// The text is not JSON, or has no `keys`.
    #[error("it is neither a JSON Web Key Set nor an https URL")]
    Malformed,
    /// Anybody who can read the environment could make tokens with a private key.
    #[error("it contains a private key: provide only public keys")]
    Private,
    /// No key of the set can verify signatures by ES256, EdDSA or RS256. Contains the reason for each key.
    #[error("it contains no key for ES256, EdDSA (Ed25519) or RS256{0}")]
    NoKey(String),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySource {
    /// Reads a key set, or the https URL of one.
    ///
    /// # Errors
    ///
    /// [`KeySetError`] if the text is neither.
    pub fn parse(text: &str) -> Result<Self, KeySetError> {
        let text = text.trim_start_matches(BYTE_ORDER_MARK).trim();
        if text.starts_with('{') {
            return KeySet::parse(text.as_bytes()).map(Self::Inline);
        }
        let url: Uri = text.parse().map_err(|_| KeySetError::Malformed)?;
        let is_https = url.scheme_str() == Some("https") && url.host().is_some();
        is_https
            .then_some(Self::Url(url))
            .ok_or(KeySetError::Malformed)
    }
}

/// Some editors and servers write this character before a document.
const BYTE_ORDER_MARK: char = '\u{feff}';

impl KeySet {
    /// Reads a key set. Keys that cannot verify a token are skipped (RFC 7517, section 5).
    ///
    /// # Errors
    ///
    /// [`KeySetError`] if no key remains, or if a key is private.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let json = str::from_utf8(json).map_err(|_| KeySetError::Malformed)?;
        let json = json.trim_start_matches(BYTE_ORDER_MARK);
        let document: Document = serde_json::from_str(json).map_err(|_| KeySetError::Malformed)?;
        if document.keys.iter().any(|key| !is_absent(&key["d"])) {
            return Err(KeySetError::Private);
        }
        let (mut keys, mut skipped, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for (index, value) in document.keys.iter().enumerate() {
            match Key::read(value) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    let line = format!("key {}{}: {reason}", index + 1, label(value));
                    if reason.is_broken() {
                        broken.push(line.clone());
                    }
                    skipped.push(line);
                }
            }
        }
        match (keys.is_empty(), skipped.is_empty()) {
            (false, _) => Ok(Self { keys, broken }),
            (true, true) => Err(KeySetError::NoKey(String::new())),
            (true, false) => Err(KeySetError::NoKey(format!(" ({})", skipped.join("; ")))),
        }
    }

    /// The keys that may have signed a token with this header.
    ///
    /// These are the keys with the header's `kid`. If there are none, the keys without a `kid`, because a key's `kid` is
    /// optional. If the header has no `kid`, the set must have exactly one key for its algorithm.
    pub(super) fn find(&self, header: &Header) -> Vec<Key> {
        let of_algorithm = |key: &&Key| key.algorithm() == header.alg;
        let of_id = |id: Option<&String>| {
            let keys = self.keys.iter().filter(of_algorithm);
            let keys = keys.filter(move |key| key.id.as_ref() == id);
            keys.cloned().collect::<Vec<_>>()
        };
        if header.kid.is_none() {
            let keys: Vec<_> = self.keys.iter().filter(of_algorithm).collect();
            return match keys[..] {
                [only] => vec![only.clone()],
                _ => Vec::new(),
            };
        }
        let with_id = of_id(header.kid.as_ref());
        if with_id.is_empty() {
            of_id(None)
        } else {
            with_id
        }
    }

    /// Logs a warning for invalid keys, unless the previous set from the same source contained the same ones.
    pub(super) fn warn(&self, previous: Option<&Self>) {
        if let Some(keys) = self.newly_broken(previous) {
            tracing::warn!(keys, "keys of the key set cannot be read, they are skipped");
        }
    }

    /// A set is fetched every ten minutes, so each invalid key is reported only once.
    fn newly_broken(&self, previous: Option<&Self>) -> Option<String> {
        let known = previous.is_some_and(|previous| previous.broken == self.broken);
        (!known && !self.broken.is_empty()).then(|| self.broken.join("; "))
    }
}

/// The key's `kid` for a log line: its first 64 characters.
fn label(jwk: &Value) -> String {
    match jwk["kid"].as_str() {
        Some(id) => format!(" ({:?})", id.chars().take(64).collect::<String>()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(broken: &[&str]) -> KeySet {
        let good = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let broken = broken
            .iter()
            .map(|id| json!({ "kty": "RSA", "kid": id, "n": "!" }));
        let keys: Vec<_> = broken.chain([good]).collect();
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("one good key")
    }

    #[test]
    fn invalid_keys_are_reported_once() {
        let (none, one, two) = (set(&[]), set(&["a"]), set(&["a", "b"]));
        let warning =
            "key 1 (\"a\"): n is missing, or is not a base64url number of the right length";
        assert_eq!(none.newly_broken(None), None);
        assert_eq!(one.newly_broken(None).as_deref(), Some(warning));
        assert_eq!(one.newly_broken(Some(&one)), None);
        assert_eq!(one.newly_broken(Some(&none)).as_deref(), Some(warning));
        assert!(two.newly_broken(Some(&one)).is_some());
        assert_eq!(none.newly_broken(Some(&one)), None);
    }

    #[test]
    fn a_key_for_another_purpose_is_no_news() {
        let good = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let (mut encrypts, mut of_other_curve) = (good.clone(), good.clone());
        encrypts["use"] = json!("enc");
        of_other_curve["crv"] = json!("X25519");
        let keys = json!({ "keys": [encrypts, of_other_curve, good] });
        let set = KeySet::parse(keys.to_string().as_bytes()).expect("one good key");
        assert_eq!(set.newly_broken(None), None);
    }
}
