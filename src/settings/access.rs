//! The settings of access: `ACCESS`, `JWKS` and the `JWT_` variables.

use std::time::Duration;

use super::duration::{Limits, seconds};
use super::reader::Reader;
use crate::access::{AccessSettings, ClaimSettings, KeySource, TokenHeader, TokenLimits};

/// RFC 7519, section 4.1.4, allows "no more than a few minutes". An expired token is accepted for this time.
const JWT_LEEWAY: Limits = Limits::up_to_minutes(Duration::ZERO..=seconds(300));

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    /// Open access must be chosen explicitly.
    pub(super) fn access(&mut self) -> AccessSettings {
        let header = self.one_of(
            "TOKEN_HEADER",
            &[
                ("authorization", TokenHeader::Authorization),
                ("x-authorization", TokenHeader::XAuthorization),
            ],
        );
        if self.one_of("ACCESS", &[("jwt", false), ("open", true)]) {
            return AccessSettings::Open;
        }
        let Some(keys) = self.get("JWKS") else {
            self.error(
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
                header,
            },
            Err(error) => {
                self.error(format!("JWKS is invalid: {error}"));
                AccessSettings::Open
            }
        }
    }

    /// An honest page must stay below both. A tab checks in once a second at most. If its connection breaks, Lambda does not say
    /// so, and the response stays open until its window is over: 15 minutes on a Managed Instance.
    pub(super) fn token_limits(&mut self) -> TokenLimits {
        TokenLimits {
            streams: self.whole("TOKEN_STREAMS", 100, 1..=9999),
            openings: self.whole("TOKEN_OPENINGS", 600, 60..=99_999),
        }
    }

    /// Issuers that publish their keys often use them for many tenants (Firebase, Entra). Then a valid signature proves
    /// nothing: RFC 8725, section 3.8. So tokens of any issuer must be allowed explicitly.
    fn claims(&mut self, keys: &KeySource) -> ClaimSettings {
        let issuer = self.optional_word("JWT_ISSUER");
        if issuer.is_none() && matches!(keys, KeySource::Url(_)) {
            self.error(
                "JWT_ISSUER is required if JWKS is a URL: set it to the iss of your issuer's tokens, or to * to take \
                 tokens of any issuer with these keys"
                    .to_owned(),
            );
        }
        ClaimSettings {
            issuer: issuer.filter(|issuer| issuer != "*"),
            audience: self.optional_word("JWT_AUDIENCE"),
            orders_claim: self.word("JWT_ORDERS_CLAIM", "orders"),
            customer_claim: self.optional_word("JWT_CUSTOMER_CLAIM"),
            leeway: self.duration("JWT_LEEWAY", "10s", JWT_LEEWAY),
        }
    }
}
