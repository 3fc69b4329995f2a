//! The public keys that tokens are checked with: a JSON Web Key Set (RFC 7517). Pure.
//!
//! Keys are read as generously as does no harm, because issuers publish what their own library writes: Firebase's moduli
//! had a leading zero byte for years, others pad their base64 or leave `key_ops` empty. A key that cannot be read is
//! skipped, as `jose`, PyJWT and go-jose do: it must not take the others with it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::Uri;
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// What a token may be signed with: asymmetric, so that nothing here is a secret, and of each
/// family the one that all issuers have.
pub(super) const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];

/// What the signature library takes. NIST SP 800-131A allows no RSA key below 2048 bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The signature library takes no larger exponent. 65537 is what everybody has.
const MAX_RSA_EXPONENT: u64 = (1 << 33) - 1;

/// `JWKS`: where the keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The set itself.
    Inline(KeySet),
    /// Its https URL.
    Url(Uri),
}

/// The keys of a set that can check a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
    /// A line for each key that is broken.
    broken: Vec<String>,
}

/// A key, good for one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    /// Big-endian, without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point of P-256.
    Ec(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Why a text is neither a [`KeySet`] nor a URL of one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// No JSON, or without `keys`.
    #[error("it is neither a JSON Web Key Set nor an https URL")]
    Malformed,
    /// Whoever reads the environment could make tokens.
    #[error("it holds a private key: give the public ones only")]
    Private,
    /// None of them is for signatures by ES256, EdDSA or RS256. Says of each why.
    #[error("it holds no key for ES256, EdDSA (Ed25519) or RS256{0}")]
    NoKey(String),
}

/// Why a key is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
enum Skip {
    #[error("use or key_ops say that it is not for checking signatures")]
    Purpose,
    #[error("kty, crv or alg are of another algorithm")]
    Algorithm,
    #[error("it is not a JSON object")]
    NotObject,
    #[error("{0} is missing, or is not a base64url number of its length")]
    Member(&'static str),
    #[error("its RSA modulus has {0} bits, and {min} to {max} are taken", min = RSA_BITS.start(), max = RSA_BITS.end())]
    RsaBits(usize),
    #[error("its point is not on the curve")]
    Point,
}

impl Skip {
    /// A key for another purpose belongs in a set, and is not worth a warning.
    fn is_broken(self) -> bool {
        !matches!(self, Self::Purpose | Self::Algorithm)
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySource {
    /// Reads a document, or the https URL of one.
    ///
    /// # Errors
    ///
    /// [`KeySetError`] where it is neither.
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

/// Some editors and servers put it before a document.
const BYTE_ORDER_MARK: char = '\u{feff}';

impl KeySet {
    /// Reads a document. Keys that cannot check a token are skipped (RFC 7517, section 5).
    ///
    /// # Errors
    ///
    /// [`KeySetError`] where no key is left, or one is not public.
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
                Err(skip) => {
                    let line = format!("key {}{}: {skip}", index + 1, named(value));
                    if skip.is_broken() {
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

    /// The keys that a token's header may mean: those with its `kid`, else those without any, because a key's `kid` is
    /// optional. A token without `kid` is checked where no choice is left.
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
        let named = of_id(header.kid.as_ref());
        if named.is_empty() { of_id(None) } else { named }
    }

    /// Warns of the keys that could not be read, unless the previous set of the same source had the same ones.
    pub(super) fn warn(&self, previous: Option<&Self>) {
        if let Some(keys) = self.newly_broken(previous) {
            tracing::warn!(keys, "keys of the key set cannot be read, they are skipped");
        }
    }

    fn newly_broken(&self, previous: Option<&Self>) -> Option<String> {
        let known = previous.is_some_and(|previous| previous.broken == self.broken);
        (!known && !self.broken.is_empty()).then(|| self.broken.join("; "))
    }
}

impl Key {
    fn read(jwk: &Value) -> Result<Self, Skip> {
        if !jwk.is_object() {
            return Err(Skip::NotObject);
        }
        if !checks_signatures(jwk) {
            return Err(Skip::Purpose);
        }
        let of = |algorithms: &[&str]| {
            let alg = &jwk["alg"];
            is_absent(alg) || alg.as_str().is_some_and(|alg| algorithms.contains(&alg))
        };
        let material = match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
            (Some("RSA"), _) if of(&["RS256"]) => rsa(jwk)?,
            (Some("EC"), Some("P-256")) if of(&["ES256"]) => ec(jwk)?,
            // RFC 9864 renames EdDSA.
            (Some("OKP"), Some("Ed25519")) if of(&["EdDSA", "Ed25519"]) => ed25519(jwk)?,
            _ => return Err(Skip::Algorithm),
        };
        let id = &jwk["kid"];
        let id = id
            .as_str()
            .map(str::to_owned)
            .or_else(|| id.is_number().then(|| id.to_string()));
        Ok(Self { id, material })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::RS256,
            Material::Ec(_) => Algorithm::ES256,
            Material::Ed25519(_) => Algorithm::EdDSA,
        }
    }

    pub(super) fn decoding(&self) -> DecodingKey {
        match &self.material {
            Material::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            Material::Ec(point) => DecodingKey::from_ec_der(point),
            Material::Ed25519(point) => DecodingKey::from_ed_der(point),
        }
    }
}

/// An empty member says no more than one that is missing.
fn is_absent(member: &Value) -> bool {
    match member {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn checks_signatures(jwk: &Value) -> bool {
    let (used, operations) = (&jwk["use"], &jwk["key_ops"]);
    let may_verify = match operations {
        Value::Array(operations) => operations.iter().any(|operation| operation == "verify"),
        one => one == "verify",
    };
    (is_absent(used) || used == "sig") && (is_absent(operations) || may_verify)
}

fn rsa(jwk: &Value) -> Result<Material, Skip> {
    let n = number(jwk, "n")?;
    let bits = match n.first() {
        Some(first) => n.len() * 8 - first.leading_zeros() as usize,
        None => 0,
    };
    if !RSA_BITS.contains(&bits) {
        return Err(Skip::RsaBits(bits));
    }
    let e = number(jwk, "e")?;
    let exponent = e.iter().fold(0_u64, |value, byte| {
        value.saturating_mul(256).saturating_add((*byte).into())
    });
    if !(3..=MAX_RSA_EXPONENT).contains(&exponent) || exponent % 2 == 0 {
        return Err(Skip::Member("e"));
    }
    Ok(Material::Rsa { n, e })
}

fn ec(jwk: &Value) -> Result<Material, Skip> {
    let mut point = vec![4];
    for name in ["x", "y"] {
        let coordinate = number(jwk, name)?;
        let zeros = 32_usize.checked_sub(coordinate.len());
        point.resize(point.len() + zeros.ok_or(Skip::Member(name))?, 0);
        point.extend(coordinate);
    }
    on_curve(&ECDSA_P256_SHA256_FIXED, &point)?;
    Ok(Material::Ec(point))
}

fn ed25519(jwk: &Value) -> Result<Material, Skip> {
    let point = bytes(jwk, "x")?;
    if point.len() != 32 {
        return Err(Skip::Member("x"));
    }
    on_curve(&ED25519, &point)?;
    Ok(Material::Ed25519(point))
}

fn on_curve(curve: &'static dyn VerificationAlgorithm, point: &[u8]) -> Result<(), Skip> {
    let parsed = ParsedPublicKey::new(curve, point);
    parsed.map(|_| ()).map_err(|_| Skip::Point)
}

/// A big-endian number. RFC 7518, section 6.3.1.1, knows of libraries that write a zero byte before it.
fn number(jwk: &Value, name: &'static str) -> Result<Vec<u8>, Skip> {
    let bytes = bytes(jwk, name)?;
    Ok(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// base64url, with or without padding, or plain base64, in one line or several: `jose`, PyJWT and go-jose pass over line
/// breaks.
fn bytes(jwk: &Value, name: &'static str) -> Result<Vec<u8>, Skip> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let text = jwk[name].as_str().ok_or(Skip::Member(name))?;
    let text = text.replace('+', "-").replace('/', "_");
    let text = text.replace(|char: char| char.is_ascii_whitespace(), "");
    LENIENT.decode(text).map_err(|_| Skip::Member(name))
}

/// The key's `kid`, for a log line; no longer than a `kid` is.
fn named(jwk: &Value) -> String {
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

    /// A set is fetched every ten minutes.
    #[test]
    fn a_broken_key_is_news_once() {
        let (none, one, two) = (set(&[]), set(&["a"]), set(&["a", "b"]));
        let news = "key 1 (\"a\"): n is missing, or is not a base64url number of its length";
        assert_eq!(none.newly_broken(None), None);
        assert_eq!(one.newly_broken(None).as_deref(), Some(news));
        assert_eq!(one.newly_broken(Some(&one)), None);
        assert_eq!(one.newly_broken(Some(&none)).as_deref(), Some(news));
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
