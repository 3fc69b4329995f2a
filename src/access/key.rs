//! One public key of a JSON Web Key Set (RFC 7517). Pure.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use thiserror::Error;

/// The algorithms that a token may be signed with. They are asymmetric, so that this function has no secret. Of each family,
/// this list contains the one that all issuers support.
pub(super) const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];

/// The sizes that the signature library accepts. NIST SP 800-131A forbids RSA keys with fewer than 2048 bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The signature library accepts no larger exponent. Almost all keys have 65537.
const MAX_RSA_EXPONENT: u64 = (1 << 33) - 1;

/// A public key for one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The key's `kid`.
    pub(super) id: Option<String>,
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

/// Why a key of a set is skipped. The texts appear in an error or a log line after the key's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum SkipReason {
    #[error("use or key_ops exclude the verification of signatures")]
    Purpose,
    #[error("kty, crv or alg belong to another algorithm")]
    Algorithm,
    #[error("it is not a JSON object")]
    NotObject,
    #[error("{0} is missing, or is not a base64url number of the right length")]
    Member(&'static str),
    #[error("its RSA modulus has {0} bits, but must have {min} to {max}", min = RSA_BITS.start(), max = RSA_BITS.end())]
    RsaBits(usize),
    #[error("its point is not on the curve")]
    Point,
}

impl SkipReason {
    /// Whether the key is invalid. A valid key for another purpose may be in a set, and needs no warning.
    pub(super) fn is_broken(self) -> bool {
        !matches!(self, Self::Purpose | Self::Algorithm)
    }
}

impl Key {
    /// Reads a member of `keys`.
    pub(super) fn read(jwk: &Value) -> Result<Self, SkipReason> {
        if !jwk.is_object() {
            return Err(SkipReason::NotObject);
        }
        if !is_for_verification(jwk) {
            return Err(SkipReason::Purpose);
        }
        let of = |algorithms: &[&str]| {
            let alg = &jwk["alg"];
            is_absent(alg) || alg.as_str().is_some_and(|alg| algorithms.contains(&alg))
        };
        let material = match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
            (Some("RSA"), _) if of(&["RS256"]) => rsa(jwk)?,
            (Some("EC"), Some("P-256")) if of(&["ES256"]) => ec(jwk)?,
            // RFC 9864 gives EdDSA over Ed25519 the name Ed25519.
            (Some("OKP"), Some("Ed25519")) if of(&["EdDSA", "Ed25519"]) => ed25519(jwk)?,
            _ => return Err(SkipReason::Algorithm),
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

/// An empty member means the same as a missing one.
pub(super) fn is_absent(member: &Value) -> bool {
    match member {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn is_for_verification(jwk: &Value) -> bool {
    let (used, operations) = (&jwk["use"], &jwk["key_ops"]);
    let may_verify = match operations {
        Value::Array(operations) => operations.iter().any(|operation| operation == "verify"),
        one => one == "verify",
    };
    (is_absent(used) || used == "sig") && (is_absent(operations) || may_verify)
}

fn rsa(jwk: &Value) -> Result<Material, SkipReason> {
    let n = number(jwk, "n")?;
    let bits = match n.first() {
        Some(first) => n.len() * 8 - first.leading_zeros() as usize,
        None => 0,
    };
    if !RSA_BITS.contains(&bits) {
        return Err(SkipReason::RsaBits(bits));
    }
    let e = number(jwk, "e")?;
    let exponent = e.iter().fold(0_u64, |value, byte| {
        value.saturating_mul(256).saturating_add((*byte).into())
    });
    if !(3..=MAX_RSA_EXPONENT).contains(&exponent) || exponent % 2 == 0 {
        return Err(SkipReason::Member("e"));
    }
    Ok(Material::Rsa { n, e })
}

fn ec(jwk: &Value) -> Result<Material, SkipReason> {
    let mut point = vec![4];
    for name in ["x", "y"] {
        let coordinate = number(jwk, name)?;
        let zeros = 32_usize.checked_sub(coordinate.len());
        point.resize(point.len() + zeros.ok_or(SkipReason::Member(name))?, 0);
        point.extend(coordinate);
    }
    on_curve(&ECDSA_P256_SHA256_FIXED, &point)?;
    Ok(Material::Ec(point))
}

fn ed25519(jwk: &Value) -> Result<Material, SkipReason> {
    let point = bytes(jwk, "x")?;
    if point.len() != 32 {
        return Err(SkipReason::Member("x"));
    }
    on_curve(&ED25519, &point)?;
    Ok(Material::Ed25519(point))
}

fn on_curve(curve: &'static dyn VerificationAlgorithm, point: &[u8]) -> Result<(), SkipReason> {
    let parsed = ParsedPublicKey::new(curve, point);
    parsed.map(|_| ()).map_err(|_| SkipReason::Point)
}

/// A big-endian number, without leading zeros. RFC 7518, section 6.3.1.1, says that some libraries write a zero byte before it.
fn number(jwk: &Value, name: &'static str) -> Result<Vec<u8>, SkipReason> {
    let bytes = bytes(jwk, name)?;
    Ok(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// Accepts base64url with or without padding, plain base64, and line breaks. `jose`, PyJWT and go-jose ignore line breaks too.
fn bytes(jwk: &Value, name: &'static str) -> Result<Vec<u8>, SkipReason> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let text = jwk[name].as_str().ok_or(SkipReason::Member(name))?;
    let text = text.replace('+', "-").replace('/', "_");
    let text = text.replace(|char: char| char.is_ascii_whitespace(), "");
    LENIENT.decode(text).map_err(|_| SkipReason::Member(name))
}
