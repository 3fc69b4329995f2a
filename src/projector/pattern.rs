//! A pattern of a key, such as `CUSTOMER#{customerId}`. Pure.
//!
//! ```text
//! pattern     = one or more of text and placeholder, without two placeholders side by side
//! text        = characters except { } , = " \ and control characters
//! placeholder = "{" name [ "+" ] "}"
//! name        = a letter, then letters, digits and _
//! ```
//!
//! A placeholder stands for one character or more. It ends at the first place where the text after it follows; the last one ends
//! where the text after it ends the key. If the pattern's text contains `#`, `|`, `:` or `/`, a placeholder does not stand for
//! that character, unless it is written with `+`. So `ORDER#{orderId}` does not match the key `ORDER#7#ITEM#1`.

use std::collections::BTreeMap;

/// Shops write them between the parts of a key.
const SEPARATORS: [char; 4] = ['#', '|', ':', '/'];

/// What is wrong with a pattern, such as "has { without }".
pub(super) type PatternError = &'static str;

/// The texts that placeholders stand for.
pub(super) type Captures<'a> = BTreeMap<&'a str, &'a str>;

/// A pattern of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    /// What a placeholder without `+` does not stand for.
    separators: Vec<char>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder { name: String, spans: bool },
}

impl Pattern {
    /// One placeholder, which stands for the whole key.
    pub(super) fn whole(name: &str) -> Self {
        let name = name.to_owned();
        Self {
            parts: vec![Part::Placeholder { name, spans: false }],
            separators: Vec::new(),
        }
    }

    /// Reads a pattern.
    pub(super) fn parse(pattern: &str) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        let mut rest = pattern;
        while !rest.is_empty() {
            let part = match rest.strip_prefix('{') {
                Some(inner) => {
                    if matches!(parts.last(), Some(Part::Placeholder { .. })) {
                        return Err("has two placeholders without text between them");
                    }
                    let (inner, after) = inner.split_once('}').ok_or("has { without }")?;
                    rest = after;
                    placeholder(inner)?
                }
                None => {
                    let (text, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
                    rest = after;
                    Part::Text(checked(text)?.to_owned())
                }
            };
            parts.push(part);
        }
        if parts.is_empty() {
            return Err("is empty");
        }
        let is_used = |separator: &char| {
            let mut texts = parts.iter().filter_map(Part::text);
            texts.any(|text| text.contains(*separator))
        };
        let separators = SEPARATORS.into_iter().filter(is_used).collect();
        Ok(Self { parts, separators })
    }

    /// Whether the pattern is one placeholder. Then a number matches it too.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.parts[..], [Part::Placeholder { .. }])
    }

    /// The text with which each key that matches begins.
    pub(super) fn prefix(&self) -> &str {
        self.parts.first().and_then(Part::text).unwrap_or_default()
    }

    /// The names of the placeholders.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder { name, .. } => Some(&**name),
            Part::Text(_) => None,
        })
    }

    /// Whether a key matches. Adds what the placeholders stand for. A name that has been captured must stand for the same text.
    pub(super) fn matches<'a>(&'a self, key: &'a str, captures: &mut Captures<'a>) -> bool {
        let mut rest = key;
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            let (name, spans) = match part {
                Part::Text(text) => match rest.strip_prefix(&**text) {
                    Some(after) => {
                        rest = after;
                        continue;
                    }
                    None => return false,
                },
                Part::Placeholder { name, spans } => (&**name, *spans),
            };
            let next = parts.next_if(|part| part.text().is_some());
            let next = next.and_then(Part::text).unwrap_or_default();
            let split = match parts.peek() {
                Some(_) => split_after_first(rest, next),
                None => rest.strip_suffix(next).map(|captured| (captured, "")),
            };
            let Some((captured, after)) = split.filter(|(captured, _)| !captured.is_empty()) else {
                return false;
            };
            if !spans && captured.contains(&self.separators[..]) {
                return false;
            }
            if *captures.entry(name).or_insert(captured) != captured {
                return false;
            }
            rest = after;
        }
        rest.is_empty()
    }

    /// The key for these texts. `None` if a placeholder has none.
    pub(super) fn format(&self, captures: &Captures<'_>) -> Option<String> {
        let part = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            Part::Placeholder { name, .. } => captures.get(&**name).map(|&text| text.to_owned()),
        };
        self.parts.iter().map(part).collect()
    }
}

impl Part {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Placeholder { .. } => None,
        }
    }
}

fn placeholder(inner: &str) -> Result<Part, PatternError> {
    let (name, spans) = match inner.strip_suffix('+') {
        Some(name) => (name, true),
        None => (inner, false),
    };
    match is_name(name) {
        true => Ok(Part::Placeholder {
            name: name.to_owned(),
            spans,
        }),
        false => Err("has a placeholder that is not letters, digits and _ (and + at its end)"),
    }
}

/// Whether a placeholder may have this name.
pub(super) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    name.starts_with(|char: char| char.is_ascii_alphabetic())
        && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// The characters that are refused have a meaning in a setting or in JSON, of which the template makes a filter.
fn checked(text: &str) -> Result<&str, PatternError> {
    if text.contains('}') {
        return Err("has } without {");
    }
    match text.contains(|char: char| char.is_ascii_control() || "\"\\,=".contains(char)) {
        true => Err("has a control character, a quote, a backslash, a comma or a second ="),
        false => Ok(text),
    }
}

/// The text before and after the first `next`, which is not at the start.
fn split_after_first<'a>(text: &'a str, next: &str) -> Option<(&'a str, &'a str)> {
    let first = text.chars().next()?.len_utf8();
    let at = first + text[first..].find(next)?;
    Some((&text[..at], &text[at + next.len()..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    /// What the placeholders stand for, in the order of their names.
    fn captured(pattern: &str, key: &str) -> Option<String> {
        let pattern = Pattern::parse(pattern).unwrap();
        let mut captures = Captures::new();
        let matches = pattern.matches(key, &mut captures);
        let texts: Vec<_> = captures.into_values().collect();
        matches.then(|| texts.join(" "))
    }

    #[track_caller]
    fn check(pattern: &str, key: &str, expected: Option<&str>) {
        assert_eq!(
            captured(pattern, key).as_deref(),
            expected,
            "{pattern} {key}"
        );
    }

    #[test]
    fn a_placeholder_stands_for_a_part_of_the_key() {
        check("{id}", "A-1", Some("A-1"));
        check("{id}", "2026/11/23 #1", Some("2026/11/23 #1"));
        check("{id}", "", None);
        check("ORDER#{id}", "ORDER#7", Some("7"));
        check("ORDER#{id}", "ORDER#", None);
        check("ORDER#{id}", "order#7", None);
        check("ORDER#{id}", "CUSTOMER#7", None);
        check("META", "META", Some(""));
        check("META", "METADATA", None);
        check("META", "MET", None);
        check("{a}#{b}", "1#2", Some("1 2"));
        check("{a}#{b}#END", "1#2#END", Some("1 2"));
        check("{a}#{b}#END", "1#2", None);
        check("é{a}é", "éüé", Some("ü"));
        check("{a}##{b}", "###2", None);
        check("SHOP-{a}-{b}", "SHOP-eu-1-7", Some("eu 1-7"));
    }

    /// Order items are often in the partition of their order.
    #[test]
    fn a_placeholder_does_not_stand_for_a_separator_of_its_pattern() {
        check("ORDER#{id}", "ORDER#7#ITEM#1", None);
        check("ORDER#{id}", "ORDER#7|1", Some("7|1"));
        check("order:{id}", "order:7:line:1", None);
        check("{c}/orders/{id}", "c/orders/7/lines/1", None);
        check("a|{id}", "a|1|2", None);
        check("ORDER-{id}", "ORDER-7-ITEM-1", Some("7-ITEM-1"));
        check("ORDER#{id+}", "ORDER#7#ITEM#1", Some("7#ITEM#1"));
        check("{c}#{id+}", "1#2#3", Some("1 2#3"));
        check("{c+}#{id}", "1#2#3", None);
    }

    #[test]
    fn a_repeated_name_stands_for_the_same_text() {
        check("{id}#{id}", "7#7", Some("7"));
        check("{id}#{id}", "7#8", None);
    }

    #[test]
    fn a_pattern_begins_with_its_prefix() {
        for (pattern, prefix) in [
            ("ORDER#{id}", "ORDER#"),
            ("{id}", ""),
            ("{id}#A", ""),
            ("META", "META"),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().prefix(), prefix);
        }
    }

    #[test]
    fn a_malformed_pattern_says_what_is_wrong() {
        for (pattern, expected) in [
            ("", "is empty"),
            ("ORDER#{id", "has { without }"),
            ("ORDER#id}", "has } without {"),
            ("{a}{b}", "has two placeholders without text between them"),
            ("{}", "has a placeholder that is not letters"),
            ("{1}", "has a placeholder that is not letters"),
            ("{a b}", "has a placeholder that is not letters"),
            ("{a{b}", "has a placeholder that is not letters"),
            ("{a++}", "has a placeholder that is not letters"),
            ("A\"{id}", "has a control character, a quote"),
            ("A\\{id}", "has a control character, a quote"),
            ("A\n{id}", "has a control character, a quote"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.starts_with(expected), "{pattern:?} {error}");
        }
    }

    /// A text part, which may contain separators, and a placeholder after it.
    fn any_parts() -> impl Strategy<Value = Vec<(String, bool)>> {
        prop::collection::vec(("[A-Zé#|:/_.-]{1,4}", any::<bool>()), 1..5)
    }

    fn pattern_of(parts: &[(String, bool)]) -> String {
        let part = |(index, (text, spans)): (usize, &(String, bool))| {
            let plus = if *spans { "+" } else { "" };
            format!("{text}{{p{index}{plus}}}")
        };
        parts.iter().enumerate().map(part).collect()
    }

    proptest! {
        /// The values have none of the characters of the texts.
        #[test]
        fn what_was_formatted_is_captured(parts in any_parts(), values in prop::collection::vec("[a-z0-9]{1,6}", 5)) {
            let text = pattern_of(&parts);
            let pattern = Pattern::parse(&text).unwrap();
            let names: Vec<_> = pattern.names().collect();
            let given: Captures<'_> = names.iter().copied().zip(values.iter().map(String::as_str)).collect();
            let key = pattern.format(&given).unwrap();
            let mut found = Captures::new();
            prop_assert!(pattern.matches(&key, &mut found));
            prop_assert_eq!(found, given);
            prop_assert!(key.starts_with(pattern.prefix()));
        }

        /// The values may contain the separators. A key of random characters would match one pattern of 200.
        #[test]
        fn what_was_captured_formats_the_same_key(
            parts in any_parts(), values in prop::collection::vec("[A-Zéa#|:/_.-]{1,3}", 5),
        ) {
            let key: String = parts.iter().zip(&values).map(|((text, _), value)| format!("{text}{value}")).collect();
            let pattern = Pattern::parse(&pattern_of(&parts)).unwrap();
            let mut captures = Captures::new();
            prop_assume!(pattern.matches(&key, &mut captures));
            prop_assert_eq!(pattern.format(&captures), Some(key.clone()));
            prop_assert!(captures.values().all(|text| !text.is_empty()));
        }

        #[test]
        fn any_text_is_a_pattern_or_an_error(text in "[ -~é\n]{0,12}", key in "[ -~é]{0,12}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                pattern.matches(&key, &mut Captures::new());
            }
        }
    }
}
