//! What a request for a stream gets: the head, or a refusal.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Version;
use http::header::ACCEPT_ENCODING;

use super::stage::{Ask, Stage, is_stream};
use super::{Check, Outcome};
use crate::exchange::Exchange;
use crate::rules::response::{caching, encoding};
use crate::rules::{Remark, expect, fail, skip};

/// Browsers accept these encodings, and a proxy compresses only for a client that does.
const BROWSERS_ENCODINGS: &str = "gzip, deflate, br, zstd";

pub(super) const STREAM: Check = Check {
    name: "stream",
    title: "a request gets a stream",
    advice: "compare URL with the output StreamUrl, set TOKEN to a token for ORDER or *, and read the function's log",
    run: |stage| Box::pin(stream(stage)),
};

async fn stream(stage: &Stage) -> Outcome {
    let seen = stage.head().await.map_err(String::clone)?;
    let seen_is = format!("{}, {}", seen.status.as_u16(), seen.media_type());
    expect(is_stream(seen), || format!("the response is {seen_is}"))?;
    Ok(seen_is)
}

pub(super) const VERSION: Check = Check {
    name: "http-version",
    title: "the version of HTTP",
    advice: "use a host that speaks HTTP/1.1 or HTTP/2",
    run: |stage| Box::pin(version(stage)),
};

async fn version(stage: &Stage) -> Outcome {
    match head(stage).await?.version {
        Version::HTTP_11 => Ok(
            "HTTP/1.1: a browser opens six connections to this host for all its tabs, so watch several orders on one"
                .to_owned(),
        ),
        version @ (Version::HTTP_2 | Version::HTTP_3) => {
            Ok(format!("{version:?}: streams share a connection"))
        }
        version => fail(format!("{version:?} does not stream")),
    }
}

/// The first response, of any status.
async fn head(stage: &Stage) -> Result<&Exchange, Remark> {
    let skipped = |_| Remark::Skip("there is no response: see the first line".to_owned());
    stage.head().await.map_err(skipped)
}

pub(super) const TLS: Check = Check {
    name: "tls",
    title: "TLS with a certificate that is accepted",
    advice: "give the host a certificate for this name, with its whole chain, that a public authority has signed and that is still valid",
    run: |stage| Box::pin(tls(stage)),
};

async fn tls(stage: &Stage) -> Outcome {
    match stage.head().await {
        Err(error) => fail(error.clone()),
        Ok(_) if stage.options.url.starts_with("https:") => {
            // The HTTP client speaks nothing older.
            Ok("TLS 1.2 or later".to_owned())
        }
        Ok(_) => skip("URL is http, which is for tests: tokens are not encrypted"),
    }
}

/// Whether a request failed because of the server's certificate.
pub(super) fn is_about_certificate(error: &str) -> bool {
    error.contains("certificate")
}

pub(super) const CACHE: Check = Check {
    name: "cache",
    title: "no cache stores the stream, and nothing compresses it",
    advice: "switch off compression and caching for streams, in CloudFront with the policy CachingDisabled, and pass cache-control on",
    run: |stage| Box::pin(cache(stage)),
};

async fn cache(stage: &Stage) -> Outcome {
    let url = stage.url().await?;
    let fields = [(ACCEPT_ENCODING, BROWSERS_ENCODINGS)];
    let ask = Ask {
        cursor: None,
        fields: &fields,
    };
    let seen = stage.head_of(url, ask).await?;
    encoding(&seen)?;
    caching(&seen, false)?;
    Ok(seen.list("cache-control").unwrap_or_default())
}

const ACCESS_ADVICE: &str = "deploy with Access=jwt, and let nothing on the way answer in the function's place or add a token";

pub(super) const NO_TOKEN: Check = Check {
    name: "no-token",
    title: "without a token: 401",
    advice: ACCESS_ADVICE,
    run: |stage| Box::pin(no_token(stage)),
};

async fn no_token(stage: &Stage) -> Outcome {
    refused(stage, None).await
}

pub(super) const WRONG_TOKEN: Check = Check {
    name: "wrong-token",
    title: "with a token that was changed: 401",
    advice: ACCESS_ADVICE,
    run: |stage| Box::pin(wrong_token(stage)),
};

async fn wrong_token(stage: &Stage) -> Outcome {
    let token = stage.options.token.as_deref().map(tampered);
    refused(stage, Some(token.as_deref().unwrap_or("wrong"))).await
}

/// The token with another signature.
fn tampered(token: &str) -> String {
    let (before, signature) = token.rsplit_once('.').unwrap_or(("", token));
    // Not the last character, because some of its bits may mean nothing.
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{before}.{first}{}", signature.get(1..).unwrap_or_default())
}

async fn refused(stage: &Stage, token: Option<&str>) -> Outcome {
    let seen = stage.head_with(&stage.unknown_url(), token).await?;
    if is_stream(&seen) && stage.options.token.is_none() {
        return skip(
            "access is open: everybody who knows an order's id can watch it. If there are tokens, set TOKEN",
        );
    }
    denial(&seen, 401)
}

/// Whether the function itself refused the request. Clients take another sender's refusal for a passing failure.
fn denial(seen: &Exchange, status: u16) -> Outcome {
    let media_type = seen.media_type();
    let kept = seen.status == status && media_type == "application/problem+json";
    let seen_is = format!("{}, {media_type}", seen.status.as_u16());
    expect(kept, || format!("the response is {seen_is}"))?;
    Ok(seen_is)
}

pub(super) const OTHER_ORDER: Check = Check {
    name: "other-order",
    title: "with a token for another order: 403",
    advice: ACCESS_ADVICE,
    run: |stage| Box::pin(other_order(stage)),
};

async fn other_order(stage: &Stage) -> Outcome {
    let token = stage.options.token.as_deref();
    let Some(token) = token.filter(|token| !opens_everything(token)) else {
        return skip("set TOKEN to a token for one order to see this");
    };
    denial(
        &stage.head_with(&stage.unknown_url(), Some(token)).await?,
        403,
    )
}

/// Whether a claim of the token has `*`. What cannot be read counts as a token for one order.
fn opens_everything(token: &str) -> bool {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    String::from_utf8_lossy(&payload).contains("\"*\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_token_differs_in_its_signature() {
        assert_eq!(tampered("a.b.cd"), "a.b.Ad");
        assert_eq!(tampered("a.b.Ad"), "a.b.Bd");
        assert_eq!(tampered("x"), ".A");
    }

    #[test]
    fn a_token_for_every_order_is_recognised() {
        let token = |claims: &str| format!("x.{}.y", BASE64_URL_SAFE_NO_PAD.encode(claims));
        assert!(opens_everything(&token(r#"{"orders":["*"]}"#)));
        assert!(!opens_everything(&token(r#"{"orders":["A*"]}"#)));
        assert!(!opens_everything("opaque"));
    }
}
