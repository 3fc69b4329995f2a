//! Where a value is in an item: `status`, `shipping.carrier`, `items[0].name`. Pure.

use serde_dynamo::{AttributeValue, Item};

/// The path to a value, as in a document path of DynamoDB.
///
/// An attribute whose name is the whole text comes first, because a name may contain dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: String,
    /// Empty if the text can only be the name of an attribute.
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
}

impl Path {
    /// Any text is a path. If it has not the form of one, it is the name of an attribute.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let steps = steps(&text).filter(|steps| steps.len() > 1);
        Self {
            steps: steps.unwrap_or_default(),
            text,
        }
    }

    /// The path as the setting has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of the attribute that contains the value. An attribute with the whole name comes first.
    pub fn attribute(&self) -> &str {
        match self.steps.first() {
            Some(Step::Member(name)) => name,
            _ => &self.text,
        }
    }

    /// The value in an item.
    pub(super) fn find<'a>(&self, item: &'a Item) -> Option<&'a AttributeValue> {
        if let Some(value) = item.get(&self.text) {
            return Some(value);
        }
        let (_, steps) = self.steps.split_first()?;
        let value = item.get(self.attribute())?;
        steps
            .iter()
            .try_fold(value, |value, step| match (step, value) {
                (Step::Member(name), AttributeValue::M(members)) => members.get(name),
                (Step::Element(index), AttributeValue::L(elements)) => elements.get(*index),
                _ => None,
            })
    }
}

/// `None` if the text has not the form of a path.
fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for part in text.split('.') {
        let (name, mut indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
        if name.is_empty() {
            return None;
        }
        steps.push(Step::Member(name.to_owned()));
        while !indexes.is_empty() {
            let (index, after) = indexes.strip_prefix('[')?.split_once(']')?;
            let is_number = index.bytes().all(|byte| byte.is_ascii_digit());
            steps.push(Step::Element(index.parse().ok().filter(|_| is_number)?));
            indexes = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use serde_json::json;

    fn item() -> Item {
        let item = json!({
            "status": { "S": "PAID" },
            "a.b": { "S": "dotted" },
            "a": { "M": { "b": { "S": "nested" }, "c": { "S": "other" }, "": { "S": "no name" } } },
            "items": { "L": [{ "M": { "name": { "S": "Tea" } } }, { "L": [{ "N": "7" }] }] },
            "items[2]": { "S": "bracketed" },
        });
        serde_json::from_value(item).unwrap()
    }

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        let item = item();
        let found = Path::new(path).find(&item).map(|value| match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text.as_str(),
            _ => "a list or a map",
        });
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn a_path_leads_into_maps_and_lists() {
        check("status", Some("PAID"));
        check("a.c", Some("other"));
        check("items[0].name", Some("Tea"));
        check("items[1][0]", Some("7"));
        check("items[0]", Some("a list or a map"));
        check("items[3]", None);
        check("items.name", None);
        check("a[0]", None);
        check("status.b", None);
        check("nothing.b", None);
        check("nothing", None);
    }

    #[test]
    fn an_attribute_with_the_whole_name_comes_first() {
        check("a.b", Some("dotted"));
        check("items[2]", Some("bracketed"));
    }

    #[test]
    fn a_text_that_is_no_path_is_a_name() {
        for text in [
            "a.", ".a", "a..b", "a[", "a[x]", "a[0", "a[0]b", "a[+1]", "[0]", "a.[0]",
        ] {
            check(text, None);
            assert_eq!(Path::new(text).attribute(), text);
        }
        assert_eq!(Path::new("items[0].name").attribute(), "items");
    }
}
