//! A filter of an event source mapping:
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax>.

use serde_json::Value;

/// Whether a filter's pattern admits a record. Each member of the pattern must match; at its end is a list of rules, of which one
/// must match.
///
/// # Errors
///
/// The pattern has a rule that this stand-in does not know: it knows equality, `prefix` and `exists`.
pub fn admits(pattern: &Value, record: &Value) -> Result<bool, String> {
    let members = pattern
        .as_object()
        .ok_or_else(|| format!("{pattern} is neither an object nor a list of rules"))?;
    for (name, pattern) in members {
        let value = record.get(name);
        let matches = match pattern {
            Value::Array(rules) => one_matches(rules, value)?,
            pattern => admits(pattern, value.unwrap_or(&Value::Null))?,
        };
        if !matches {
            return Ok(false);
        }
    }
    Ok(true)
}

fn one_matches(rules: &[Value], value: Option<&Value>) -> Result<bool, String> {
    for rule in rules {
        if matches(rule, value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn matches(rule: &Value, value: Option<&Value>) -> Result<bool, String> {
    let text = value.and_then(Value::as_str);
    match rule {
        Value::Object(operator) if operator.len() == 1 => {
            if let Some(prefix) = operator.get("prefix").and_then(Value::as_str) {
                return Ok(text.is_some_and(|text| text.starts_with(prefix)));
            }
            if let Some(exists) = operator.get("exists").and_then(Value::as_bool) {
                return Ok(value.is_some() == exists);
            }
            Err(format!("the rule {rule} is unknown"))
        }
        Value::Object(_) | Value::Array(_) => Err(format!("the rule {rule} is unknown")),
        plain => Ok(value == Some(plain)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(pattern: &Value, expected: bool) {
        let record = json!({
            "eventName": "REMOVE",
            "dynamodb": { "Keys": { "PK": { "S": "ORDER#7" }, "SK": { "N": "7" } } },
        });
        assert_eq!(admits(pattern, &record), Ok(expected), "{pattern}");
    }

    #[test]
    fn each_member_must_match_and_one_of_its_rules() {
        let keys = |keys: Value| json!({ "dynamodb": { "Keys": keys } });
        check(&json!({}), true);
        check(&keys(json!({ "PK": { "S": ["ORDER#7"] } })), true);
        check(
            &keys(json!({ "PK": { "S": ["ORDER#8", { "prefix": "ORDER#" }] } })),
            true,
        );
        check(
            &keys(json!({ "PK": { "S": [{ "prefix": "ITEM#" }] } })),
            false,
        );
        check(
            &keys(json!({ "PK": { "S": [{ "prefix": "ORDER#" }] }, "SK": { "N": ["8"] } })),
            false,
        );
        check(&keys(json!({ "SK": { "S": [{ "prefix": "" }] } })), false);
        check(&keys(json!({ "SK": { "S": [{ "exists": false }] } })), true);
        check(&keys(json!({ "GSI": { "S": ["x"] } })), false);
    }

    #[test]
    fn an_unknown_rule_is_an_error() {
        for rule in [json!({ "suffix": "7" }), json!({ "prefix": 7 }), json!([])] {
            let pattern = json!({ "eventName": [rule] });
            assert!(
                admits(&pattern, &json!({ "eventName": "7" })).is_err(),
                "{pattern}"
            );
        }
        assert!(admits(&json!({ "eventName": "7" }), &json!({ "eventName": "7" })).is_err());
    }
}
