//! The feed's laws: what is true of every log that the projector wrote. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use order_status_stream::change::Change;
use order_status_stream::feed::Entry;
use serde::Serialize;

/// A law, and what to do if it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// An item of the feed is an entry.
    Readable,
    /// Numbers follow each other, except where entries have expired.
    Dense,
    /// Positions of one stream rise with the numbers.
    Rising,
    /// An entry names the status before it.
    Previous,
    /// An entry that another one followed has an expiry. So has a terminal one.
    Expires,
    /// An entry has only public attributes.
    Public,
    /// An item of the Orders table can be read as an order.
    Order,
    /// The log of an order's customer shows the order's newest entry.
    Listed,
    /// The newest entry shows what the order is.
    Current,
    /// An order of the Orders table has a log.
    Known,
    /// An unfinished log has an order in the Orders table.
    Exists,
    /// An id belongs to one item of the Orders table.
    Unique,
}

impl Law {
    fn advice(self) -> &'static str {
        match self {
            Self::Readable => {
                "somebody else has written into the feed's table: delete the item with this order and seq"
            }
            Self::Dense | Self::Previous => {
                "entries were deleted by hand, or the table was restored: clients are reset when they come back"
            }
            Self::Rising => "two projectors with different tables write this feed: stop one",
            Self::Expires => "touch the order: the projector makes the missing write",
            Self::Listed => {
                "change the order in a way that customers see: its customer's log then shows the newest state"
            }
            Self::Public => "nothing: the stream function hides what is not in PUBLIC_ATTRIBUTES",
            Self::Order => {
                "the projector skips it: correct the item. If all items have this, correct the settings: first of this command, then of the projector"
            }
            Self::Current => {
                "touch the order: write its id into a file, and run operate backfill --list FILE --all"
            }
            Self::Known => "touch the order: operate backfill",
            Self::Exists => {
                "if the order is in the table, ORDER_KEY or ORDER_ID_ATTRIBUTE is wrong here. If not, it was deleted while the projector did not see it: insert it and delete it again"
            }
            Self::Unique => {
                "customers of one order see the other: let {orderId} in ORDER_KEY stand for an id that is unique in the table"
            }
        }
    }
}

/// A broken law.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub order: String,
    /// The entry's number, if the law is about one entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    pub law: Law,
    pub detail: String,
    pub advice: &'static str,
}

impl Finding {
    pub fn new(order: &str, seq: Option<u64>, law: Law, detail: impl Into<String>) -> Self {
        Self {
            order: order.to_owned(),
            seq,
            law,
            detail: detail.into(),
            advice: law.advice(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.order)?;
        if let Some(seq) = self.seq {
            write!(f, ", entry {seq}")?;
        }
        write!(f, ": {}\n    {}", self.detail, self.advice)
    }
}

/// Some writes follow an append. If the projector dies before them, they are made when Lambda delivers the batch again.
const SETTLE_SECONDS: u64 = 60;

/// What the laws depend on.
#[derive(Clone, Debug)]
pub struct Terms {
    pub public_attributes: BTreeSet<String>,
    pub retention: Duration,
    /// In seconds since the Unix epoch.
    pub now: u64,
}

impl Terms {
    /// Checks an entry that follows another one in its log. `before` is `None` for the first one that remains.
    pub fn check(&self, before: Option<&Entry>, entry: &Entry) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut found = |law, detail: String| {
            let seq = Some(entry.seq.0);
            findings.push(Finding::new(entry.order.as_str(), seq, law, detail));
        };
        let expected = before.map_or(1, |before| before.seq.0 + 1);
        if entry.seq.0 != expected && !self.may_have_lost_earlier(entry) {
            found(Law::Dense, format!("it should be entry {expected}"));
        }
        if let Some(before) = before {
            if before.position >= entry.position {
                let detail = format!("its record does not come after that of {}", before.seq.0);
                found(Law::Rising, detail);
            }
            let follows = before.seq.0 + 1 == entry.seq.0 && !entry.begins;
            if follows && entry.previous.as_ref() != Some(&before.status) {
                found(
                    Law::Previous,
                    format!("before it, the status was {}", before.status.as_str()),
                );
            }
            if before.expires_at.is_none() && self.is_settled(entry) {
                let detail = format!("entry {} was superseded and has no expiry", before.seq.0);
                found(Law::Expires, detail);
            }
        }
        if entry.terminal && entry.expires_at.is_none() {
            found(Law::Expires, "it is terminal and has no expiry".to_owned());
        }
        let private = entry
            .view
            .keys()
            .filter(|name| !self.public_attributes.contains(*name));
        let private: Vec<_> = private.map(String::as_str).collect();
        if !private.is_empty() {
            found(Law::Public, format!("it has {}", private.join(", ")));
        }
        findings
    }

    /// Whether the projector has made all writes of this entry.
    pub fn is_settled(&self, entry: &Entry) -> bool {
        entry.appended_at / 1000 + SETTLE_SECONDS <= self.now
    }

    /// Whether what came after this entry may have expired.
    pub fn may_have_expired(&self, entry: &Entry) -> bool {
        let appended = entry.appended_at / 1000;
        appended.saturating_add(self.retention.as_secs()) <= self.now
    }

    /// Whether the entries right before this one may have expired. They were superseded when this one was appended, or earlier.
    fn may_have_lost_earlier(&self, entry: &Entry) -> bool {
        entry.begins || self.may_have_expired(entry)
    }
}

/// Whether the newest entry of an order shows the state that its item has.
pub fn is_current(newest: &Entry, item: &Change) -> bool {
    !newest.removed && newest.status == item.status && newest.view == item.view
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_795_392_000;
    const DAY: u64 = 86_400;

    fn terms() -> Terms {
        Terms {
            public_attributes: BTreeSet::from(["eta".to_owned()]),
            retention: Duration::from_secs(30 * DAY),
            now: NOW,
        }
    }

    /// An entry that was appended some seconds ago, and has an expiry. The fields replace its own.
    fn entry(seq: u64, seconds_ago: u64, fields: &serde_json::Value) -> Entry {
        let mut entry = json!({
            "order": "A", "seq": seq, "status": format!("S{seq}"), "view": { "eta": "18:20" }, "at": "",
            "appendedAt": (NOW - seconds_ago) * 1000, "position": format!("stream/A/{seq:040}"),
            "expiresAt": NOW + DAY,
        });
        if seq > 1 {
            entry["previous"] = json!(format!("S{}", seq - 1));
        }
        for (name, value) in fields.as_object().into_iter().flatten() {
            entry[name] = value.clone();
        }
        serde_json::from_value(entry).expect("an entry")
    }

    #[track_caller]
    fn check(before: Option<&Entry>, entry: &Entry, expected: &[Law]) {
        let found = terms().check(before, entry);
        let found: Vec<_> = found.into_iter().map(|finding| finding.law).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_log_that_the_projector_wrote_breaks_no_law() {
        let [first, second] = [entry(1, 3 * DAY, &json!({})), entry(2, 2 * DAY, &json!({}))];
        check(None, &first, &[]);
        check(Some(&first), &second, &[]);
    }

    #[test]
    fn a_gap_is_allowed_only_if_its_entries_may_have_expired() {
        let (day, long) = (2 * DAY, 31 * DAY);
        let first = entry(1, 40 * DAY, &json!({}));
        check(Some(&first), &entry(4, long, &json!({})), &[]);
        check(Some(&first), &entry(4, day, &json!({})), &[Law::Dense]);
        check(None, &entry(2, long, &json!({})), &[]);
        check(None, &entry(2, day, &json!({})), &[Law::Dense]);
        let new_life = json!({ "begins": true, "previous": null });
        check(Some(&first), &entry(4, day, &new_life), &[]);
    }

    #[test]
    fn each_law_is_noticed() {
        let first = entry(1, 3 * DAY, &json!({}));
        for (fields, law) in [
            (
                json!({ "position": format!("stream/A/{:040}", 1) }),
                Law::Rising,
            ),
            (json!({ "previous": "S7" }), Law::Previous),
            (json!({ "view": { "email": "a@example.com" } }), Law::Public),
            (json!({ "terminal": true, "expiresAt": null }), Law::Expires),
        ] {
            check(Some(&first), &entry(2, DAY, &fields), &[law]);
        }
        // Positions of two streams cannot be compared.
        let elsewhere = json!({ "position": format!("stream/B/{:040}", 1) });
        check(Some(&first), &entry(2, DAY, &elsewhere), &[]);
    }

    #[test]
    fn the_projector_has_a_minute_for_the_writes_that_follow_an_append() {
        let first = entry(1, DAY, &json!({ "expiresAt": null }));
        check(Some(&first), &entry(2, 59, &json!({})), &[]);
        check(Some(&first), &entry(2, 60, &json!({})), &[Law::Expires]);
    }
}
