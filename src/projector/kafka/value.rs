//! JSON, read as an attribute's value. Pure.

use std::collections::HashMap;

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

/// Reads JSON. A number keeps its digits, of which `serde_json::Value` keeps 17.
pub(super) fn read(json: &str) -> Result<AttributeValue, ReadError> {
    let raw: &RawValue = parse(json)?;
    convert(raw.get(), 0)
}

fn convert(json: &str, depth: usize) -> Result<AttributeValue, ReadError> {
    // A raw value has no space around it, and is valid JSON except for its texts.
    Ok(match json.as_bytes().first() {
        Some(b'{' | b'[') if depth >= MAX_DEPTH => return Err(ReadError::Depth),
        Some(b'{') => {
            let members = parse::<HashMap<String, &RawValue>>(json)?.into_iter();
            let member =
                |(name, value): (String, &RawValue)| Ok((name, convert(value.get(), depth + 1)?));
            AttributeValue::M(members.map(member).collect::<Result<_, _>>()?)
        }
        Some(b'[') => {
            let elements = parse::<Vec<&RawValue>>(json)?.into_iter();
            let elements = elements.map(|element| convert(element.get(), depth + 1));
            AttributeValue::L(elements.collect::<Result<_, _>>()?)
        }
        Some(b'"') => AttributeValue::S(parse(json)?),
        Some(b't' | b'f') => AttributeValue::Bool(json == "true"),
        Some(b'n') => AttributeValue::Null(true),
        _ => AttributeValue::N(json.to_owned()),
    })
}

fn parse<'a, T: serde::Deserialize<'a>>(json: &'a str) -> Result<T, ReadError> {
    serde_json::from_str(json).map_err(|_| ReadError::Syntax)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "\"\\ud800\"",
            "{\"a\":\"\\ud800\"}",
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
