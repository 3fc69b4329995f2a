//! What is concluded from the evidence: a verdict a rule.
//!
//! The numbers are those of `docs/protocol.md`, which gives the reasons.

mod contract;
mod framing;
mod history;
mod response;

pub(crate) use contract::names_methods;

use crate::evidence::Evidence;
use crate::exchange::{Exchange, Seen};
use crate::transcript::Transcript;

/// What a rule's check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept.
    Pass,
    /// It is broken: where, and what was seen.
    Fail(String),
    /// It is not kept to the letter, and the standard or the network allows that: what was seen.
    Note(String),
    /// It was not seen: why, and what to do.
    Skip(String),
}

/// To whom a rule applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Any server of Server-Sent Events.
    Any,
    /// As advice to any, as a duty to servers of this contract: the standard lets pass what some client was seen to stumble over.
    Advice,
    /// Servers of this contract.
    Contract,
}

/// A rule of `docs/protocol.md` that can be seen from outside.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Such as `P7`.
    pub id: &'static str,
    /// To whom it applies.
    pub scope: Scope,
    /// In a line.
    pub text: &'static str,
    /// What whoever breaks it should do.
    pub advice: &'static str,
    check: fn(&Evidence) -> Verdict,
}

/// A rule and what came of it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// Its verdict.
    pub verdict: Verdict,
}

/// Judges all rules that apply.
pub fn judge(evidence: &Evidence) -> Vec<Finding> {
    let mut rules = [
        response::RULES,
        framing::RULES,
        contract::RULES,
        history::RULES,
    ]
    .concat();
    rules.sort_by_key(|rule| rule.id[1..].parse().unwrap_or(u32::MAX));
    let applying = rules
        .into_iter()
        .filter(|rule| rule.scope != Scope::Contract || !evidence.any_server);
    let findings = applying.map(|rule| Finding {
        rule,
        verdict: match rule.scope {
            Scope::Advice => advice(evidence, (rule.check)(evidence)),
            Scope::Any | Scope::Contract => (rule.check)(evidence),
        },
    });
    findings.collect()
}

/// A failure of a server of this contract, a note to any other.
fn advice(evidence: &Evidence, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Fail(seen) if evidence.any_server => Verdict::Note(seen),
        verdict => verdict,
    }
}

/// The first failure; if there is none, the first note, then what was not seen.
fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let worst = verdicts.into_iter().min_by_key(|verdict| match verdict {
        Verdict::Fail(_) => 0,
        Verdict::Note(_) => 1,
        Verdict::Skip(_) => 2,
        Verdict::Pass => 3,
    });
    worst.unwrap_or(Verdict::Pass)
}

/// Fails with what was seen, unless it is as it should be.
fn expect(kept: bool, seen: impl FnOnce() -> String) -> Verdict {
    match kept {
        true => Verdict::Pass,
        false => Verdict::Fail(seen()),
    }
}

/// Judges an answer, where there was one.
fn of(seen: &Seen, check: impl FnOnce(&Exchange) -> Verdict) -> Verdict {
    match seen {
        Ok(seen) => check(seen),
        Err(error) => Verdict::Fail(error.clone()),
    }
}

/// Judges an answer as an event stream.
fn stream(seen: &Seen, check: impl FnOnce(&Transcript) -> Verdict) -> Verdict {
    of(seen, |seen| match seen.status.as_u16() {
        200 => check(&Transcript::read(&seen.body)),
        status => Verdict::Fail(format!("the status is {status}")),
    })
}

/// Each stream of a run that was answered 200, and all of its bytes.
fn streams(evidence: &Evidence) -> Vec<Transcript> {
    let mut seen = vec![&evidence.held];
    seen.extend(evidence.resumed.as_ref().map(|(_, seen)| seen));
    if let Some(contract) = &evidence.contract {
        seen.extend([
            &contract.unknown_order,
            &contract.unreadable,
            &contract.ahead,
        ]);
        seen.extend(contract.several.as_ref());
        seen.extend(contract.by_query.as_ref().map(|(_, seen)| seen));
        seen.extend(contract.by_both.as_ref().map(|(_, seen)| seen));
        if let Some(finished) = &contract.finished {
            seen.push(&finished.whole);
            seen.extend(&finished.untold);
        }
        if let Some((_, Some(resumed))) = &contract.snapshot {
            seen.push(resumed);
        }
        if let Some(Ok(live)) = &contract.live {
            seen.extend(&live.watched);
        }
    }
    let streams = seen
        .into_iter()
        .flatten()
        .filter(|seen| seen.status == 200 && seen.media_type() == "text/event-stream");
    streams.map(|seen| Transcript::read(&seen.body)).collect()
}

/// The worst of all streams; skips where there is none.
fn each(evidence: &Evidence, check: impl Fn(&Transcript) -> Verdict) -> Verdict {
    let streams = streams(evidence);
    if streams.is_empty() {
        return Verdict::Skip("no stream was answered: see the failures above".to_owned());
    }
    worst(streams.iter().map(check))
}
