//! Checks the rules of `docs/protocol.md` that can be checked from outside, and gives a verdict on each. The reasons for the
//! numbers are in the document.

mod cursor;
mod customer;
mod ending;
mod framing;
mod history;
mod live;
mod requests;
pub(crate) mod response;
mod wire;

use futures_util::future::{BoxFuture, join_all};
use reqwest::{Client, ClientBuilder};

use crate::Options;
use crate::exchange::Exchange;
use crate::server::Server;
use crate::transcript::Transcript;

/// Whether a server keeps a rule.
pub type Verdict = Result<(), Remark>;

/// Why a rule did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The server breaks the rule: what was seen.
    Fail(String),
    /// The server does not keep the rule to the letter, but the standard or the network allows that: what was seen.
    Note(String),
    /// The rule could not be checked: why, and what to do.
    Skip(String),
}

/// If a request gets no response, the rule that sent it fails.
impl From<String> for Remark {
    fn from(error: String) -> Self {
        Self::Fail(error)
    }
}

/// The servers that a rule applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Any server of Server-Sent Events.
    Any,
    /// Any server, but only servers of this contract fail: the standard allows what some client cannot read.
    Advice,
    /// Servers of this contract.
    Contract,
    /// Servers of this contract that have customers' streams.
    Customer,
}

/// A rule of `docs/protocol.md`.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// For example `P7`.
    pub id: &'static str,
    pub scope: Scope,
    /// The rule in one line.
    pub title: &'static str,
    /// What to change in a server that breaks it.
    pub advice: &'static str,
    check: Check,
}

#[derive(Clone, Copy, Debug)]
enum Check {
    /// Sends requests and judges the responses.
    Requests(for<'a> fn(&'a Server) -> BoxFuture<'a, Verdict>),
    /// Judges every stream that the other rules requested. The flag says that the server may be any server.
    Streams(fn(&[Transcript], bool) -> Verdict),
}

/// A rule and its verdict.
#[derive(Clone, Debug)]
pub struct Finding {
    pub rule: Rule,
    pub verdict: Verdict,
}

/// In the order of the report.
const RULES: [Rule; 35] = [
    response::P1,
    response::P2,
    response::P3,
    response::P4,
    response::P5,
    response::P6,
    framing::P7,
    framing::P8,
    framing::P9,
    framing::P10,
    framing::P11,
    framing::P12,
    framing::P13,
    cursor::P14,
    history::P15,
    history::P16,
    history::P17,
    history::P18,
    cursor::P19,
    cursor::P20,
    cursor::P21,
    cursor::P22,
    ending::P23,
    ending::P24,
    ending::P25,
    ending::P26,
    requests::P27,
    requests::P28,
    requests::P29,
    live::P30,
    customer::P32,
    customer::P33,
    customer::P34,
    customer::P36,
    customer::P37,
];

/// Checks all rules that apply.
///
/// # Errors
///
/// The HTTP client cannot be set up.
pub async fn check(options: Options) -> reqwest::Result<Vec<Finding>> {
    check_with(Client::builder(), options).await
}

/// Checks with a client that, for example, knows the server's certificate.
///
/// # Errors
///
/// The HTTP client cannot be set up.
pub async fn check_with(client: ClientBuilder, options: Options) -> reqwest::Result<Vec<Finding>> {
    let (any_server, customer) = (options.any_server, options.customer);
    let server = &Server::new(client, options)?;
    let applying = RULES.into_iter().filter(|rule| match rule.scope {
        Scope::Any | Scope::Advice => true,
        Scope::Contract => !any_server,
        Scope::Customer => !any_server && customer,
    });
    // Side by side, because some rules wait until the server ends a response.
    let requested = join_all(applying.map(|rule| async move {
        let verdict = match rule.check {
            Check::Requests(check) => Some(check(server).await),
            Check::Streams(_) => None,
        };
        (rule, verdict)
    }));
    let requested = requested.await;
    let streams = server.streams();
    let findings = requested.into_iter().map(|(rule, verdict)| {
        let verdict = match rule.check {
            Check::Streams(check) => check(&streams, any_server),
            Check::Requests(_) => verdict.unwrap_or(Ok(())),
        };
        let verdict = match rule.scope {
            Scope::Advice => advice(any_server, verdict),
            Scope::Any | Scope::Contract | Scope::Customer => verdict,
        };
        Finding { rule, verdict }
    });
    Ok(findings.collect())
}

/// Turns a failure into a note if the server may be any server: only servers of this contract fail.
fn advice(any_server: bool, verdict: Verdict) -> Verdict {
    match verdict {
        Err(Remark::Fail(seen)) if any_server => Err(Remark::Note(seen)),
        verdict => verdict,
    }
}

/// The first failure, else the first note, else the first skip.
fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let worst = verdicts.into_iter().min_by_key(|verdict| match verdict {
        Err(Remark::Fail(_)) => 0,
        Err(Remark::Note(_)) => 1,
        Err(Remark::Skip(_)) => 2,
        Ok(()) => 3,
    });
    worst.unwrap_or(Ok(()))
}

/// Fails with what was seen, unless the rule is kept.
pub(crate) fn expect(kept: bool, seen: impl FnOnce() -> String) -> Verdict {
    match kept {
        true => Ok(()),
        false => Err(Remark::Fail(seen())),
    }
}

pub(crate) fn fail<T>(seen: String) -> Result<T, Remark> {
    Err(Remark::Fail(seen))
}

pub(crate) fn skip<T>(why: &str) -> Result<T, Remark> {
    Err(Remark::Skip(why.to_owned()))
}

/// The events of a stream. Another status than 200 is a failure.
fn events(seen: &Exchange) -> Result<Transcript, Remark> {
    match seen.status.as_u16() {
        200 => Ok(Transcript::read(&seen.body)),
        status => fail(format!("the status is {status}")),
    }
}

/// The worst verdict on all streams.
fn each(streams: &[Transcript], check: impl Fn(&Transcript) -> Verdict) -> Verdict {
    if streams.is_empty() {
        return skip("no stream came: see the failures above");
    }
    worst(streams.iter().map(check))
}
