//! JSON, read as an attribute's value. Pure.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde_dynamo::AttributeValue;
use serde_json::value::RawValue;

/// As many levels as an item of DynamoDB may have. More of them could exhaust the stack.
const MAX_DEPTH: usize = 32;

/// Why a text cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    /// The text is not JSON.
    Syntax,
    /// It has more than [`MAX_DEPTH`] levels.
    Depth,
}

/// What becomes of a text with a lone surrogate such as `\ud800`. JSON may contain it, and UTF-8 cannot. Programs that count in
/// UTF-16 write it if they cut a text in the middle of an emoji.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surrogates {
    /// It becomes U+FFFD, as in browsers.
    Replace,
    /// It is an error. Two ids that differ only in a surrogate must not become one.
    Refuse,
}

/// Reads JSON. A number keeps its digits, of which `serde_json::Value` keeps 17.
pub(super) fn read(json: &str, surrogates: Surrogates) -> Result<AttributeValue, ReadError> {
    let raw: &RawValue = parse(json)?;
    convert(raw.get(), 0, surrogates)
}

fn convert(json: &str, depth: usize, surrogates: Surrogates) -> Result<AttributeValue, ReadError> {
    // A raw value has no space around it, and is valid JSON except for its texts.
    Ok(match json.as_bytes().first() {
        Some(b'{' | b'[') if depth >= MAX_DEPTH => return Err(ReadError::Depth),
        Some(b'{') => {
            let members = parse::<HashMap<Text, &RawValue>>(json)?.into_iter();
            let member = |(Text(name), value): (Text, &RawValue)| {
                Ok((name, convert(value.get(), depth + 1, surrogates)?))
            };
            AttributeValue::M(members.map(member).collect::<Result<_, _>>()?)
        }
        Some(b'[') => {
            let elements = parse::<Vec<&RawValue>>(json)?.into_iter();
            let elements = elements.map(|element| convert(element.get(), depth + 1, surrogates));
            AttributeValue::L(elements.collect::<Result<_, _>>()?)
        }
        Some(b'"') => AttributeValue::S(match surrogates {
            Surrogates::Replace => parse::<Text>(json)?.0,
            Surrogates::Refuse => parse(json)?,
        }),
        Some(b't' | b'f') => AttributeValue::Bool(json == "true"),
        Some(b'n') => AttributeValue::Null(true),
        _ => AttributeValue::N(json.to_owned()),
    })
}

fn parse<'a, T: serde::Deserialize<'a>>(json: &'a str) -> Result<T, ReadError> {
    serde_json::from_str(json).map_err(|_| ReadError::Syntax)
}

/// A text whose lone surrogates were replaced.
#[derive(PartialEq, Eq, Hash)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As a `str`, a lone surrogate is an error. As bytes, it is what UTF-8 would be if it were allowed.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            // A surrogate is three bytes, each of which is a chunk. Only the first one is 0xED.
            if chunk.invalid().first() == Some(&0xED) {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Ok(Text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// JSON as the value of an order.
    fn read(json: &str) -> Result<AttributeValue, ReadError> {
        super::read(json, Surrogates::Replace)
    }

    #[track_caller]
    fn check_text(json: &str, expected: &str) {
        let expected = AttributeValue::S(expected.to_owned());
        assert_eq!(read(json), Ok(expected), "{json}");
    }

    #[test]
    fn a_lone_surrogate_is_replaced() {
        check_text(r#""\ud800""#, "\u{fffd}");
        check_text(r#""a\udc00b\ud83dc""#, "a\u{fffd}b\u{fffd}c");
        check_text(r#""\ud800\ud800""#, "\u{fffd}\u{fffd}");
        check_text(r#""\ud800\n\u00e9""#, "\u{fffd}\n\u{e9}");
        check_text(
            r#""\ud83d\ude9a \ud7ff é🚚 \ufffd""#,
            "🚚 \u{d7ff} é🚚 \u{fffd}",
        );
        let named = read(r#"{"\udfff":["\ud800"]}"#);
        let list = AttributeValue::L(vec![AttributeValue::S("\u{fffd}".to_owned())]);
        let expected = AttributeValue::M([("\u{fffd}".to_owned(), list)].into());
        assert_eq!(named, Ok(expected));
    }

    #[test]
    fn a_lone_surrogate_is_refused_in_an_id() {
        let read = |json| super::read(json, Surrogates::Refuse);
        for json in [r#""\ud800""#, r#"{"id":"a\udc00"}"#] {
            assert_eq!(read(json), Err(ReadError::Syntax), "{json}");
        }
        assert_eq!(
            read(r#""\ud83d\ude9a""#),
            Ok(AttributeValue::S("🚚".to_owned()))
        );
    }

    #[test]
    fn each_type_of_json_is_a_type_of_dynamodb() {
        let json = r#" {"s":"a\u0062","n":12345678901234567890.10,"t":true,"f":false,"z":null,"l":[-1e3,[]],"m":{"":{}}} "#;
        let expected = serde_json::json!({"M": {
            "s": {"S": "ab"}, "n": {"N": "12345678901234567890.10"}, "t": {"BOOL": true}, "f": {"BOOL": false},
            "z": {"NULL": true}, "l": {"L": [{"N": "-1e3"}, {"L": []}]}, "m": {"M": {"": {"M": {}}}}
        }});
        let expected: AttributeValue = serde_json::from_value(expected).expect("a value");
        assert_eq!(read(json), Ok(expected));
    }

    #[test]
    fn bad_texts() {
        for json in [
            "",
            "{",
            "nul",
            "{}{}",
            "01",
            "\"\\ud80\"",
            "\"\\x\"",
            "\"\n\"",
            "NaN",
        ] {
            assert_eq!(read(json), Err(ReadError::Syntax), "{json}");
        }
    }

    #[test]
    fn the_depth_is_limited() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH + 1)), Err(ReadError::Depth));
        assert!(read(&nested(100_000)).is_err());
    }
}
