//! Tokens whose header names the algorithm `Ed25519`. This name is from RFC 9864, and `jose` writes it. The JWT library
//! only knows the older name `EdDSA`, and refuses such a header.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, Header};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::claims::TokenError;
use super::key::Key;

const NAME: &str = "Ed25519";

/// The token's header, with the older name of the algorithm. `None` if the header does not have the new name.
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

/// The claims of a token that one of the keys signed.
pub(super) fn verified_claims(token: &str, keys: &[Key]) -> Result<Map<String, Value>, TokenError> {
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

/// The claims that must not appear twice.
#[derive(Deserialize)]
#[expect(dead_code, reason = "deserializing it fails if one appears twice")]
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
