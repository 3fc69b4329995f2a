//! Tokens whose header names EdDSA over Ed25519 as `Ed25519`: RFC 9864's name, which `jose` writes. The JWT library knows the
//! older name only, and refuses such a header.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, Header};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::claims::TokenError;
use super::keys::Key;

const NAME: &str = "Ed25519";

/// The token's header, with the older name. `None` if it is not one of these.
pub(super) fn header(token: &str) -> Option<Header> {
    let [header, _, _] = parts(token)?;
    let header = BASE64_URL_SAFE_NO_PAD.decode(header).ok()?;
    let mut header: Map<String, Value> = serde_json::from_slice(&header).ok()?;
    if header.get("alg")? != NAME {
        return None;
    }
    header.insert("alg".to_owned(), "EdDSA".into());
    serde_json::from_value(header.into()).ok()
}

/// The claims of a token that one of the keys signed. A key is good for one algorithm.
pub(super) fn genuine_claims(token: &str, keys: &[Key]) -> Result<Map<String, Value>, TokenError> {
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let of_algorithm = |key: &&Key| key.algorithm() == Algorithm::EdDSA;
    let signed = |key: &Key| {
        verify(
            signature,
            message.as_bytes(),
            &key.decoding(),
            Algorithm::EdDSA,
        ) == Ok(true)
    };
    if !keys.iter().filter(of_algorithm).any(signed) {
        return Err(TokenError::Signature);
    }
    let once = insecure_decode_claims::<Once>(token);
    let claims = once.and_then(|_| insecure_decode_claims(token));
    claims.map_err(|_| TokenError::Claims)
}

/// What must not be said twice.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read to see that each stands there once")]
struct Once {
    exp: Option<IgnoredAny>,
    nbf: Option<IgnoredAny>,
    iss: Option<IgnoredAny>,
    aud: Option<IgnoredAny>,
}

fn parts(token: &str) -> Option<[&str; 3]> {
    let parts: Vec<_> = token.split('.').collect();
    parts.try_into().ok()
}
