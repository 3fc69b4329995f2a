//! An item of the Orders table: as DynamoDB's stream shows it, and as the public must see it.
//!
//! Each value is drawn together with its public form, so that the expected form does not come from the code under test.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::chance::Chance;

/// A part of every private value. It must never be sent to a client.
pub const PRIVATE: &str = "private-";

/// A value, in DynamoDB's JSON and in the public's.
#[derive(Clone, Debug, PartialEq)]
pub struct Both {
    image: Value,
    public: Value,
}

/// An item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// `None` if the item is not an order.
    pub status: Option<&'static str>,
    /// Whose order it is.
    pub customer: Option<&'static str>,
    /// The attributes that may be public, by name.
    attributes: BTreeMap<&'static str, Both>,
    /// An attribute that is never public.
    note: u64,
    updated_at: Option<Value>,
    /// The time of `updated_at` in milliseconds since the Unix epoch; `None` if it has none.
    at: Option<u64>,
}

impl Item {
    /// A new order.
    pub fn new(random: &mut Rng) -> Self {
        let mut item = Self {
            status: Some("PLACED"),
            customer: None,
            attributes: BTreeMap::new(),
            note: random.u64(..1_000_000),
            updated_at: None,
            at: None,
        };
        for name in ["eta", "total", "tracking", "place", "carrier"] {
            item.attributes.insert(name, draw(name, random));
        }
        item
    }

    /// Changes one attribute that is always public, and sometimes `carrier`, which is sometimes public.
    pub fn change(&mut self, random: &mut Rng) {
        let name = random.one(&["eta", "eta", "total", "tracking", "place"]);
        self.replace(name, random);
        if random.chance(0.3) {
            self.replace("carrier", random);
        }
    }

    fn replace(&mut self, name: &'static str, random: &mut Rng) {
        let before = self.attributes.get(name).cloned();
        while self.attributes.get(name) == before.as_ref() {
            self.attributes.insert(name, draw(name, random));
        }
    }

    /// Changes a private attribute.
    pub fn change_in_private(&mut self) {
        self.note += 1;
    }

    /// Sets the time of the write, in one of the formats that shops use.
    pub fn written(&mut self, millis: u64, random: &mut Rng) {
        (self.updated_at, self.at) = time(millis, random);
    }

    /// The time of the write as the public must see it. `recorded` is the time of the stream's record.
    pub fn at(&self, recorded: u64) -> String {
        rfc3339(self.at.unwrap_or(recorded))
    }

    /// The public attributes, as JSON.
    pub fn public(&self) -> BTreeMap<String, Value> {
        let both = self.attributes.iter();
        both.map(|(name, both)| ((*name).to_owned(), both.public.clone()))
            .collect()
    }

    /// The item as an image of the stream.
    pub fn image(&self, order: &str) -> Value {
        let mut image = json!({
            "orderId": { "S": order },
            "note": { "S": format!("{PRIVATE}{}", self.note) },
            "phone": { "S": format!("{PRIVATE}+49 {order}") },
        });
        if let Some(status) = self.status {
            image["status"] = json!({ "S": status });
        }
        if let Some(customer) = self.customer {
            image["customer"] = json!({ "S": customer });
        }
        if let Some(updated_at) = &self.updated_at {
            image["updatedAt"] = updated_at.clone();
        }
        for (name, both) in &self.attributes {
            image[*name] = both.image.clone();
        }
        image
    }
}

/// RFC 3339 with milliseconds, in UTC.
pub fn rfc3339(millis: u64) -> String {
    let at = DateTime::from_timestamp_millis(i64::try_from(millis).unwrap_or(i64::MAX));
    at.unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn both(image: Value, public: impl Into<Value>) -> Both {
    Both {
        image,
        public: public.into(),
    }
}

fn draw(name: &str, random: &mut Rng) -> Both {
    match name {
        "total" => total(random),
        "tracking" => {
            // 22 digits whose last two differ. A double cannot distinguish them.
            let digits = format!("34055412345678901234{:02}", random.u32(10..40));
            both(json!({ "N": digits }), digits)
        }
        "place" => place(random),
        _ => {
            let text = format!("{name} {:02}:{:02} é🚚", random.u32(..24), random.u32(..60));
            both(json!({ "S": text }), text)
        }
    }
}

fn total(random: &mut Rng) -> Both {
    let number = |text: &str, public: Value| both(json!({ "N": text }), public);
    match random.usize(..6) {
        0 => number(
            "99.99999999999999999999999999",
            json!("99.99999999999999999999999999"),
        ),
        1 => number("9007199254740991", json!(9_007_199_254_740_991_i64)),
        2 => number("9007199254740993", json!("9007199254740993")),
        3 => number("12345678901234567890", json!("12345678901234567890")),
        4 => {
            let whole = random.i64(-50..5000);
            number(&whole.to_string(), json!(whole))
        }
        _ => {
            let (whole, tenth) = (random.u32(..500), random.u32(1..10));
            let text = format!("{whole}.{tenth}");
            number(&text, json!(f64::from(whole * 10 + tenth) / 10.0))
        }
    }
}

fn place(random: &mut Rng) -> Both {
    let (lat, lng) = (random.u32(1..90), random.u32(1..180));
    let tags = if random.bool() {
        ["b", "a"]
    } else {
        ["a", "b"]
    };
    both(
        json!({ "M": {
            "lat": { "N": format!("{lat}.5") }, "lng": { "N": format!("{lng}") },
            "tags": { "SS": tags }, "near": { "NULL": true }, "stops": { "L": [{ "BOOL": true }, { "S": "" }] },
        } }),
        json!({
            "lat": f64::from(lat) + 0.5, "lng": lng, "tags": ["a", "b"], "near": null, "stops": [true, ""],
        }),
    )
}

/// The attribute, and its time in milliseconds.
fn time(millis: u64, random: &mut Rng) -> (Option<Value>, Option<u64>) {
    let seconds = millis / 1000;
    let text = |text: String| Some(json!({ "S": text }));
    let number = |number: String| Some(json!({ "N": number }));
    let exact = Some(millis);
    match random.usize(..10) {
        0 => (None, None),
        1 => (text("soon".to_owned()), None),
        2 => (number(seconds.to_string()), Some(seconds * 1000)),
        3 => (number(millis.to_string()), exact),
        4 => (number(format!("{millis}123")), exact),
        5 => (number(format!("{millis}123456")), exact),
        6 => (
            text(rfc3339(millis).replace(['T', 'Z'], " ").trim().to_owned()),
            exact,
        ),
        7 => (text(rfc3339(millis).replace('Z', "")), exact),
        8 => {
            let there =
                millis + u64::try_from(Duration::from_secs(7200).as_millis()).unwrap_or_default();
            (text(rfc3339(there).replace('Z', "+02:00")), exact)
        }
        _ => (text(rfc3339(millis)), exact),
    }
}
