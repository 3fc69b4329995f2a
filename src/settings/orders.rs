//! The settings about the Orders table's items.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::reader::Reader;
use crate::order::Status;
use crate::projector::{ImageRules, OnRemove, OrderKey, Path, PublicAttributes, Rules};

/// Spelled in British and in American English.
const TERMINAL_STATUSES: &str = "DELIVERED,CANCELLED,CANCELED,RETURNED,REFUNDED";

const ORDER_ID_ATTRIBUTE: &str = "orderId";

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    pub(super) fn rules(&mut self) -> Rules {
        let terminal = self.list("TERMINAL_STATUSES", TERMINAL_STATUSES);
        Rules {
            key: self.order_key(),
            image: ImageRules {
                status: Path::new(self.word("STATUS_ATTRIBUTE", "status")),
                status_names: self.status_names(),
                updated_at: Path::new(self.word("UPDATED_AT_ATTRIBUTE", "updatedAt")),
                customer: self.optional_word("CUSTOMER_ATTRIBUTE").map(Path::new),
                public_attributes: self.public_attributes(),
                terminal_statuses: terminal.filter_map(Status::new).collect(),
            },
            on_remove: self.one_of(
                "ON_REMOVE",
                &[("end", OnRemove::End), ("ignore", OnRemove::Ignore)],
            ),
        }
    }

    /// A part of the position of each record, so it must not contain what separates the parts.
    pub(super) fn topic_generation(&mut self) -> Option<String> {
        let text = self.get("KAFKA_TOPIC_GENERATION")?;
        let is_valid = text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_valid {
            self.error(format!(
                "KAFKA_TOPIC_GENERATION is {text:?}, it must be at most 32 letters and digits, such as 2"
            ));
        }
        Some(text)
    }

    fn order_key(&mut self) -> OrderKey {
        let attribute = self.word("ORDER_ID_ATTRIBUTE", ORDER_ID_ATTRIBUTE);
        let Some(text) = self.get("ORDER_KEY") else {
            return OrderKey::whole(attribute);
        };
        if attribute != ORDER_ID_ATTRIBUTE {
            let both = "ORDER_KEY and ORDER_ID_ATTRIBUTE are both set. Set only one of them";
            self.error(both.to_owned());
        }
        OrderKey::parse(&text).unwrap_or_else(|reason| {
            self.error(format!("ORDER_KEY is {text:?}: {reason}"));
            OrderKey::whole(attribute)
        })
    }

    /// `eta,carrier=shipping.carrier`: the name that the public sees, and where its value is.
    pub(super) fn public_attributes(&mut self) -> PublicAttributes {
        let form = "names or paths on one line, separated by commas, such as eta,carrier=shipping.carrier, without quotes";
        let attribute = |item: &str| {
            let (name, path) = item.split_once('=').unwrap_or((item, item));
            let (name, path) = (name.trim(), path.trim());
            let is_path = !path.is_empty() && !path.contains('=') && has_only_indexes(path);
            let is_name = name == path || !name.is_empty() && !name.contains(['[', ']']);
            (is_name && is_path).then(|| (name.to_owned(), Path::new(path)))
        };
        self.map("PUBLIC_ATTRIBUTES", form, attribute)
    }

    /// `1=PLACED,2=PAID`: the value in the table, and the status that is shown.
    fn status_names(&mut self) -> BTreeMap<String, Status> {
        let form = "values and names on one line, separated by commas, such as 1=PLACED,2=PAID, without quotes and brackets";
        let pair = |item: &str| {
            let (value, name) = item.split_once('=')?;
            let (value, name) = (value.trim(), name.trim());
            let is_pair = !value.is_empty() && !name.contains('=') && !item.contains(['[', ']']);
            let name = Status::new(name).filter(|_| is_pair)?;
            Some((value.to_owned(), name))
        };
        self.map("STATUS_NAMES", form, pair)
    }

    /// A list whose items are pairs.
    fn map<T: PartialEq>(
        &mut self,
        name: &str,
        form: &str,
        pair: impl Fn(&str) -> Option<(String, T)>,
    ) -> BTreeMap<String, T> {
        let text = self.get(name).unwrap_or_default();
        let mut map = BTreeMap::new();
        let mut is_valid = !text.contains(|char: char| char.is_ascii_control() || char == '"');
        for item in text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let Some((key, value)) = pair(item) else {
                is_valid = false;
                continue;
            };
            match map.entry(key) {
                Entry::Occupied(found) if *found.get() != value => {
                    self.error(format!("{name} contains {:?} twice", found.key()));
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(free) => {
                    free.insert(value);
                }
            }
        }
        if !is_valid {
            self.error(format!("{name} is {text:?}, it must be {form}"));
        }
        map
    }
}

/// Whether brackets are used only as in `items[0].name`. Otherwise somebody wrote the list as JSON.
fn has_only_indexes(path: &str) -> bool {
    let mut parts = path.split('[');
    let is_index = |part: &str| {
        part.split_once(']').is_some_and(|(index, after)| {
            let is_number = index.bytes().all(|byte| byte.is_ascii_digit());
            let follows = after.is_empty() || after.starts_with('.') && !after.contains(']');
            is_number && (1..=6).contains(&index.len()) && follows
        })
    };
    let name = parts.next().unwrap_or_default();
    !name.is_empty() && !name.contains(']') && parts.all(is_index)
}
