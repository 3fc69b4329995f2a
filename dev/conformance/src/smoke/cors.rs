//! What pages of other origins may do.

use http::Method;
use http::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN as FIELD,
};

use super::stage::{Ask, Stage};
use super::{Check, Outcome};
use crate::exchange::{Exchange, Request};
use crate::rules::{Remark, expect, fail, skip};

/// Used if no origin is named.
const SOME_ORIGIN: &str = "https://smoke.example";
const ANOTHER_ORIGIN: &str = "https://other.example";

/// What `web/order-stream.js` sends.
const FIELDS_OF_THE_CLIENT: [&str; 2] = ["authorization", "last-event-id"];

const CORS_ADVICE: &str = "set AllowedOrigins to the origins of the pages, AllowedHeaders as the template has it, and CORS in one place only";

pub(super) const ORIGIN: Check = Check {
    name: "origin",
    title: "a page of ORIGIN may read a stream",
    advice: CORS_ADVICE,
    run: |stage| Box::pin(origin(stage)),
};

async fn origin(stage: &Stage) -> Outcome {
    let origin = stage.options.origin.as_deref();
    let seen = from_origin(stage, origin.unwrap_or(SOME_ORIGIN)).await?;
    admits(stage, &seen)
}

async fn from_origin(stage: &Stage, origin: &str) -> Result<Exchange, Remark> {
    let url = stage.url().await?;
    let fields = [(FIELD, origin)];
    let ask = Ask {
        cursor: None,
        fields: &fields,
    };
    Ok(stage.head_of(url, ask).await?)
}

/// Whether a browser shows this response to a page of the origin: <https://fetch.spec.whatwg.org/#concept-cors-check>.
fn admits(stage: &Stage, seen: &Exchange) -> Outcome {
    let named = stage.options.origin.as_deref();
    let origin = named.unwrap_or(SOME_ORIGIN);
    let allowed = seen.list("access-control-allow-origin");
    let credentials = seen.header("access-control-allow-credentials") == Some("true");
    match allowed.as_deref() {
        Some("*") if credentials => {
            fail("the response allows `*` with credentials, which browsers refuse".to_owned())
        }
        Some("*") => Ok("every origin".to_owned()),
        Some(allowed) if allowed == origin => Ok(match credentials {
            true => format!("{origin}, with cookies"),
            false => origin.to_owned(),
        }),
        _ if named.is_none() => skip("set ORIGIN to the origin of a page"),
        Some(allowed) => fail(format!(
            "a page of {origin} cannot read it: the response allows {allowed}"
        )),
        None => fail(format!(
            "a page of {origin} cannot read it: the response allows no origin"
        )),
    }
}

pub(super) const OTHER_ORIGIN: Check = Check {
    name: "other-origin",
    title: "a page of another origin may not read a stream",
    advice: "name the origins of the pages in AllowedOrigins",
    run: |stage| Box::pin(other_origin(stage)),
};

async fn other_origin(stage: &Stage) -> Outcome {
    let named = stage.options.other_origin.as_deref();
    let other = named.unwrap_or(ANOTHER_ORIGIN);
    let seen = from_origin(stage, other).await?;
    let allowed = seen.list("access-control-allow-origin");
    let credentials = seen.header("access-control-allow-credentials") == Some("true");
    // A deployed function's response does not have this header.
    let is_emulator = seen
        .header("lambda-runtime-function-response-mode")
        .is_some();
    match allowed.as_deref() {
        Some(_) if is_emulator && named.is_none() => {
            skip("`cargo lambda watch` allows every origin. Deployed, AllowedOrigins decides")
        }
        Some(allowed) if allowed == other && credentials => fail(format!(
            "a page of {other} may read streams with the cookies of its visitor"
        )),
        Some(allowed) if allowed != other && allowed != "*" => {
            Ok(format!("{other} is not allowed"))
        }
        None => Ok(format!("{other} is not allowed")),
        Some(_) if named.is_some() => fail(format!("a page of {other} may read streams")),
        Some(_) => skip(
            "every origin is allowed. If only some should be, set OTHER_ORIGIN and AllowedOrigins",
        ),
    }
}

pub(super) const PREFLIGHT: Check = Check {
    name: "preflight",
    title: "a page of ORIGIN may send authorization and last-event-id",
    advice: CORS_ADVICE,
    run: |stage| Box::pin(preflight(stage)),
};

async fn preflight(stage: &Stage) -> Outcome {
    let asked = FIELDS_OF_THE_CLIENT.join(",");
    let fields = [
        (
            FIELD,
            stage.options.origin.as_deref().unwrap_or(SOME_ORIGIN),
        ),
        (ACCESS_CONTROL_REQUEST_METHOD, "GET"),
        (ACCESS_CONTROL_REQUEST_HEADERS, &asked),
    ];
    let url = stage.url().await?;
    let request = Request {
        // A browser sends no token with it.
        token: None,
        fields: &fields,
        ..stage.server.plain(Method::OPTIONS, url)
    };
    let seen = stage.server.send(request, |_| true).await?;
    expect(seen.status.is_success(), || {
        format!("the response is {}", seen.status.as_u16())
    })?;
    admits(stage, &seen)?;
    let allowed = seen
        .list("access-control-allow-headers")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let names: Vec<_> = allowed.split(',').map(str::trim).collect();
    let missing = FIELDS_OF_THE_CLIENT
        .into_iter()
        .find(|name| !names.contains(name));
    match missing {
        Some(name) => fail(format!(
            "the response does not allow {name}: it allows {allowed:?}"
        )),
        None => Ok(allowed),
    }
}
