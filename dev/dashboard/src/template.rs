//! Reads `template.yaml`, and computes what CloudFormation does with a set of parameters.
//!
//! It panics if the template has a form that it does not know: that is a bug of one of the two, and the tests find it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "the template is a part of this repository"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fancy_regex::Regex;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};

pub type Variables = BTreeMap<String, String>;

/// The template, with CloudFormation's tags in the long form: `!Ref A` is `{"Ref": "A"}`.
pub struct Template {
    document: Value,
    /// By parameter, if it has a pattern.
    patterns: BTreeMap<String, Regex>,
}

impl Template {
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
        let text = fs::read_to_string(path).unwrap();
        let document = to_json(&Yaml::load_from_str(&text).unwrap()[0]);
        let parameters = document["Parameters"].as_object().unwrap();
        let patterns = parameters.iter().filter_map(|(name, parameter)| {
            let pattern = parameter.get("AllowedPattern")?.as_str().unwrap();
            // The pattern must match the whole value.
            let whole = Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
            Some((name.clone(), whole))
        });
        Self {
            patterns: patterns.collect(),
            document,
        }
    }

    /// The value at a path such as `Resources/FeedTable/Type`.
    #[track_caller]
    pub fn at(&self, path: &str) -> &Value {
        let found = self.document.pointer(&format!("/{path}"));
        found.unwrap_or_else(|| panic!("template.yaml has no {path}"))
    }

    /// The keys of the object at a path.
    #[track_caller]
    pub fn names(&self, path: &str) -> Vec<&str> {
        let members = self.at(path).as_object().unwrap();
        members.keys().map(String::as_str).collect()
    }

    /// Whether a parameter accepts a value.
    pub fn accepts(&self, parameter: &str, value: &str) -> bool {
        let definition = self.at(&format!("Parameters/{parameter}"));
        if let Some(allowed) = definition.get("AllowedValues") {
            return allowed.as_array().unwrap().contains(&json!(value));
        }
        let pattern = self.patterns.get(parameter);
        pattern.is_none_or(|pattern| pattern.is_match(value).unwrap())
    }

    /// The values of all parameters: the given ones, and the defaults of the others.
    pub fn with_defaults(&self, given: &[(&str, &str)]) -> Variables {
        let mut values = Variables::new();
        for name in self.names("Parameters") {
            let default = match self.at(&format!("Parameters/{name}")).get("Default") {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => continue,
            };
            values.insert(name.to_owned(), default);
        }
        for (name, value) in given {
            let known = values.insert((*name).to_owned(), (*value).to_owned());
            assert!(known.is_some(), "no parameter {name}");
        }
        values
    }

    /// What CloudFormation refuses before it creates anything: parameter values and broken rules.
    pub fn refusals(&self, values: &Variables) -> Vec<String> {
        let mut refusals: Vec<_> = values
            .iter()
            // The others are attributes of resources.
            .filter(|(name, _)| !name.contains('.'))
            .filter(|(name, value)| !self.accepts(name, value))
            .map(|(name, value)| format!("{name} is {value:?}"))
            .collect();
        for name in self.names("Rules") {
            let rule = self.at(&format!("Rules/{name}"));
            if !self.holds(&rule["RuleCondition"], values) {
                continue;
            }
            let broken = rule["Assertions"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|assertion| !self.holds(&assertion["Assert"], values));
            refusals.extend(
                broken.map(|assertion| assertion["AssertDescription"].as_str().unwrap().to_owned()),
            );
        }
        refusals
    }

    /// The environment that a function gets.
    pub fn environment(&self, function: &str, values: &Variables) -> Variables {
        let path = format!("Resources/{function}/Properties/Environment/Variables");
        let variables = self.at(&path).as_object().unwrap();
        variables
            .iter()
            .map(|(name, value)| {
                let value = self.value(value, values);
                (name.clone(), value.as_str().unwrap().to_owned())
            })
            .collect()
    }

    /// The value of an expression. A resource has its name as its value, and `values` may contain its attributes.
    pub fn value(&self, expression: &Value, values: &Variables) -> Value {
        let Some((function, argument)) = function(expression) else {
            return match expression {
                Value::Array(items) => items.iter().map(|item| self.value(item, values)).collect(),
                Value::Object(members) => members
                    .iter()
                    .map(|(name, member)| (name.clone(), self.value(member, values)))
                    .collect(),
                other => other.clone(),
            };
        };
        match function {
            "Ref" => {
                let name = argument.as_str().unwrap();
                json!(values.get(name).map_or(name, String::as_str))
            }
            "Fn::If" => {
                let condition = format!("Conditions/{}", argument[0].as_str().unwrap());
                let branch = if self.holds(self.at(&condition), values) {
                    1
                } else {
                    2
                };
                self.value(&argument[branch], values)
            }
            "Fn::Split" => {
                let text = self.value(&argument[1], values);
                let separator = argument[0].as_str().unwrap();
                text.as_str().unwrap().split(separator).collect()
            }
            "Fn::Join" => {
                let parts = self.value(&argument[1], values);
                let parts: Vec<_> = parts.as_array().unwrap().iter().map(text).collect();
                json!(parts.join(text(&argument[0])))
            }
            "Fn::Select" => {
                let items = self.value(&argument[1], values);
                items[usize::try_from(argument[0].as_u64().unwrap()).unwrap()].clone()
            }
            "Fn::Sub" => {
                let variables = Regex::new(r"\$\{([^}]+)\}").unwrap();
                // With variables of its own, the argument is a list.
                let (pattern, own) = match argument.as_array() {
                    Some(list) => (&list[0], self.value(&list[1], values)),
                    None => (argument, Value::Null),
                };
                let by_name = |found: &fancy_regex::Captures<'_, str>| {
                    let name = &found[1];
                    let own = own.get(name).map(text);
                    let value = own.or_else(|| values.get(name).map(String::as_str));
                    value.unwrap_or(name).to_owned()
                };
                json!(variables.replace_all(text(pattern), by_name))
            }
            "Fn::GetAtt" => match values.get(text(argument)) {
                Some(attribute) => json!(attribute),
                None => expression.clone(),
            },
            _ => expression.clone(),
        }
    }

    pub fn holds(&self, condition: &Value, values: &Variables) -> bool {
        if let Some(name) = condition.get("Fn::Condition") {
            return self.holds(self.at(&format!("Conditions/{}", text(name))), values);
        }
        let (function, argument) = function(condition).unwrap();
        let mut parts = argument.as_array().unwrap().iter();
        match function {
            "Fn::Equals" => self.value(&argument[0], values) == self.value(&argument[1], values),
            "Fn::Not" => !self.holds(&argument[0], values),
            "Fn::And" => parts.all(|part| self.holds(part, values)),
            "Fn::Or" => parts.any(|part| self.holds(part, values)),
            other => panic!("a condition with {other}"),
        }
    }
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A function of CloudFormation and its argument.
fn function(expression: &Value) -> Option<(&str, &Value)> {
    let members = expression.as_object()?;
    let (name, argument) = members.iter().next()?;
    (members.len() == 1 && (name == "Ref" || name.starts_with("Fn::"))).then_some((name, argument))
}

fn to_json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(members) => members
            .iter()
            .map(|(name, member)| (name.as_str().unwrap().to_owned(), to_json(member)))
            .collect(),
        Yaml::Tagged(tag, inner) => {
            let inner = to_json(inner);
            match tag.suffix.as_str() {
                "Ref" => json!({ "Ref": inner }),
                name => json!({ format!("Fn::{name}"): inner }),
            }
        }
        other => panic!("template.yaml contains {other:?}"),
    }
}
