//! Which items of the Orders table are orders, and what their ids are. Pure.
//!
//! ```text
//! key  = part [ "," part ]
//! part = attribute "=" pattern
//! ```
//!
//! such as `PK=CUSTOMER#{customerId},SK=ORDER#{orderId}`: the partition key, and the sort key if the table has one. An order's id is
//! what `{orderId}` stands for. [`pattern`](super::pattern) has the rest of the grammar.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_dynamo::{AttributeValue, Item};
use serde_json::{Value, json};

use super::pattern::{Captures, Pattern};
use super::poison::{Poison, shortened};
use crate::number::Decimal;
use crate::order::OrderId;

/// The placeholder of the id.
pub(super) const ORDER_ID: &str = "orderId";

/// Which items are orders, by their key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderKey {
    /// `ORDER_KEY`, or the attribute of a table whose whole key is the id.
    text: String,
    setting: &'static str,
    /// The partition key, then the sort key if there is one.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    attribute: String,
    pattern: Pattern,
}

impl OrderKey {
    /// The key of a table that has no sort key, and whose partition key is the id.
    pub fn whole(attribute: impl Into<String>) -> Self {
        let attribute = attribute.into();
        Self {
            text: attribute.clone(),
            setting: "ORDER_ID_ATTRIBUTE",
            parts: vec![Part {
                attribute,
                pattern: Pattern::whole(ORDER_ID),
            }],
        }
    }

    /// Reads `ORDER_KEY`.
    ///
    /// # Errors
    ///
    /// A text that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(part).collect::<Result<Vec<_>, _>>()?;
        if let [_, _, _, ..] = parts[..] {
            return Err("it must have at most two parts, of the partition key and of the sort key, such as PK=CUSTOMER#{customerId},SK=ORDER#{orderId}".to_owned());
        }
        let names: BTreeSet<_> = parts.iter().map(|part| &part.attribute).collect();
        if names.len() < parts.len() {
            return Err("its two parts must have different attributes".to_owned());
        }
        let has_id = |part: &Part| part.pattern.names().any(|name| name == ORDER_ID);
        if !parts.iter().any(has_id) {
            return Err("it must contain {orderId}, which stands for the order's id".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            setting: "ORDER_KEY",
            parts,
        })
    }

    /// The setting's value.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The attributes of the table's key, the partition key first.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| &*part.attribute)
    }

    /// Whether a placeholder has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        let mut names = self.parts.iter().flat_map(|part| part.pattern.names());
        names.any(|known| known == name)
    }

    /// Whether each item of the table is an order, unless a setting is wrong.
    pub(super) fn is_whole(&self) -> bool {
        self.parts.len() == 1 && self.parts[0].pattern.is_whole()
    }

    /// The order with this key. `None` if the item is not an order.
    ///
    /// # Errors
    ///
    /// [`Poison`] if the table has another key, or the id is not valid.
    pub fn order(&self, keys: &Item) -> Result<Option<OrderId>, Poison> {
        let Some(id) = self.id(keys)? else {
            return Ok(None);
        };
        OrderId::try_from(id)
            .map(Some)
            .map_err(|source| Poison::OrderId {
                attribute: self.attributes().collect::<Vec<_>>().join(", "),
                source,
            })
    }

    /// What `{orderId}` stands for, which may be an invalid id. `None` if the item is not an order.
    ///
    /// # Errors
    ///
    /// [`Poison`] if the table has another key.
    pub fn id(&self, keys: &Item) -> Result<Option<String>, Poison> {
        self.capture(keys, ORDER_ID)
    }

    /// What a placeholder stands for. `None` if the item is not an order, or there is no such placeholder.
    pub(super) fn capture(&self, keys: &Item, name: &str) -> Result<Option<String>, Poison> {
        if keys.len() > self.parts.len() {
            let names: BTreeSet<_> = keys.keys().map(String::as_str).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            return Err(Poison::SortKey(shortened(&names)));
        }
        if self.is_whole() && name == ORDER_ID {
            let text = self.text_of(&self.parts[0], keys)?;
            return Ok(text.map(Cow::into_owned));
        }
        let mut texts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            match self.text_of(part, keys)? {
                Some(text) => texts.push(text),
                None => return Ok(None),
            }
        }
        let mut captures = Captures::new();
        let mut pairs = self.parts.iter().zip(&texts);
        let is_order = pairs.all(|(part, text)| part.pattern.matches(text, &mut captures));
        let captured = captures.get(name).filter(|_| is_order);
        Ok(captured.map(|&text| text.to_owned()))
    }

    /// The key's value as text. `None` if it is a number, and the pattern contains text.
    fn text_of<'a>(&self, part: &Part, keys: &'a Item) -> Result<Option<Cow<'a, str>>, Poison> {
        let attribute = &part.attribute;
        match keys.get(attribute) {
            Some(AttributeValue::S(text)) => Ok(Some(text.into())),
            // `1` and `1.0` are the same key.
            Some(AttributeValue::N(number)) if part.pattern.is_whole() => {
                let decimal = Decimal::parse(number);
                Ok(Some(
                    decimal.map_or(number.into(), |it| it.to_string().into()),
                ))
            }
            Some(AttributeValue::N(_)) => Ok(None),
            Some(_) => Err(Poison::KeyType(attribute.clone())),
            None => Err(Poison::NoKey {
                attribute: attribute.clone(),
                setting: self.setting,
            }),
        }
    }

    /// The texts of an order's key, by attribute. `None` if the id alone does not say what they are, because the key has another
    /// placeholder.
    pub fn of_order(&self, order: &str) -> Option<BTreeMap<&str, String>> {
        let captures = Captures::from([(ORDER_ID, order)]);
        let text = |part: &Part| part.pattern.format(&captures);
        let texts = self.parts.iter().map(text).collect::<Option<Vec<_>>>()?;
        Some(self.attributes().zip(texts).collect())
    }

    /// A filter of Lambda's event source mapping, which admits each record of an order, and as few others as it can. `None` if it
    /// would admit all records.
    ///
    /// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>
    pub fn filter(&self) -> Option<Value> {
        let has_prefix = |part: &&Part| !part.pattern.prefix().is_empty();
        let key = |part: &Part| {
            let filter = json!({ "S": [{ "prefix": part.pattern.prefix() }] });
            (part.attribute.clone(), filter)
        };
        let keys: serde_json::Map<_, _> = self.parts.iter().filter(has_prefix).map(key).collect();
        (!keys.is_empty()).then(|| json!({ "dynamodb": { "Keys": keys } }))
    }
}

fn part(text: &str) -> Result<Part, String> {
    let Some((attribute, pattern)) = text.split_once('=') else {
        return Err(format!(
            "{text:?} must be an attribute, = and a pattern, such as PK=ORDER#{{orderId}}"
        ));
    };
    for text in [attribute, pattern] {
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err(format!("{text:?} must not begin or end with a space"));
        }
    }
    let is_special = |char: char| char.is_ascii_control() || "\"\\{}".contains(char);
    if attribute.is_empty() || attribute.contains(is_special) {
        return Err(format!("{attribute:?} must be the name of an attribute"));
    }
    let pattern =
        Pattern::parse(pattern).map_err(|error| format!("the pattern of {attribute} {error}"))?;
    Ok(Part {
        attribute: attribute.to_owned(),
        pattern,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    fn item(texts: BTreeMap<&str, String>) -> Item {
        let texts = texts.into_iter();
        let texts = texts.map(|(name, text)| (name.to_owned(), AttributeValue::S(text)));
        texts.collect::<std::collections::HashMap<_, _>>().into()
    }

    #[test]
    fn an_id_says_what_the_key_is_if_nothing_else_is_in_it() {
        let of_order = |key: &str| {
            let key = OrderKey::parse(key).unwrap();
            key.of_order("7")
                .map(|texts| texts.into_values().collect::<Vec<_>>())
        };
        assert_eq!(
            of_order("PK=ORDER#{orderId},SK=META").unwrap(),
            ["ORDER#7", "META"]
        );
        assert_eq!(of_order("PK={orderId},SK=#{orderId}").unwrap(), ["7", "#7"]);
        assert_eq!(of_order("PK=C#{customerId},SK=ORDER#{orderId}"), None);
        assert_eq!(OrderKey::whole("id").of_order("7").unwrap()["id"], "7");
    }

    proptest! {
        #[test]
        fn the_key_of_an_order_is_read_as_this_order(
            partition in "[A-Z#]{1,4}",
            sort in "[A-Z#]{1,4}",
            id in "[a-z0-9:/-]{1,8}",
        ) {
            for key in [
                format!("PK={partition}{{orderId+}},SK={sort}"),
                format!("PK={partition},SK={{orderId}}"),
                format!("PK={partition}{{orderId}}{sort},SK={{orderId}}"),
                "id={orderId}".to_owned(),
            ] {
                let key = OrderKey::parse(&key).unwrap();
                let keys = item(key.of_order(&id).unwrap());
                let order = key.order(&keys).unwrap().unwrap();
                prop_assert_eq!(order.as_str(), &*id);
            }
        }
    }
}
