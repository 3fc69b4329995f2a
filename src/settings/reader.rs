//! Reads variables, and collects an error for each one that is missing or malformed.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::SettingsError;
use super::duration::Limits;
use crate::prices::Price;

pub(super) struct Reader<V> {
    variable: V,
    /// What is wrong, a sentence for each variable.
    errors: Vec<String>,
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    pub(super) fn new(variable: V) -> Self {
        Self {
            variable,
            errors: Vec::new(),
        }
    }

    /// Adds what is wrong with a variable.
    pub(super) fn error(&mut self, message: String) {
        self.errors.push(message);
    }

    /// The settings, or the errors of all variables.
    pub(super) fn done<T>(self, settings: T) -> Result<T, SettingsError> {
        if self.errors.is_empty() {
            Ok(settings)
        } else {
            Err(SettingsError(self.errors))
        }
    }

    /// An empty variable counts as not set, because a template's empty parameter arrives as an empty variable.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str, default: &str) -> String {
        self.get(name).unwrap_or_else(|| default.to_owned())
    }

    pub(super) fn required(&mut self, name: &str) -> String {
        self.get(name).unwrap_or_else(|| {
            self.errors.push(format!("{name} is required"));
            String::new()
        })
    }

    /// A text without control characters, and without a space at its start or end. Those come from copying, and then the text
    /// would never match. `None` if the variable is not set.
    pub(super) fn optional_word(&mut self, name: &str) -> Option<String> {
        let text = self.get(name)?;
        let is_control = |char: char| char.is_ascii_control();
        if text.contains(is_control) || text.starts_with(' ') || text.ends_with(' ') {
            self.errors.push(format!(
                "{name} is {text:?}, it must not contain control characters, or begin or end with a space"
            ));
        }
        Some(text)
    }

    pub(super) fn word(&mut self, name: &str, default: &str) -> String {
        self.optional_word(name)
            .unwrap_or_else(|| default.to_owned())
    }

    /// Quotes and brackets are refused: somebody wrote the list as JSON, and its names would never match.
    pub(super) fn list(
        &mut self,
        name: &str,
        default: &str,
    ) -> impl Iterator<Item = String> + use<V> {
        let text = self.text(name, default);
        if text.contains(|char: char| char.is_ascii_control() || "\"[]".contains(char)) {
            self.errors.push(format!(
                "{name} is {text:?}, it must be names on one line, separated by commas, without quotes and brackets"
            ));
        }
        let items: BTreeSet<_> = text.split(',').map(|item| item.trim().to_owned()).collect();
        items.into_iter().filter(|item| !item.is_empty())
    }

    pub(super) fn duration(&mut self, name: &str, default: &str, limits: Limits) -> Duration {
        let text = self.text(name, default);
        let (min, max) = (*limits.range.start(), *limits.range.end());
        match limits.parse(&text) {
            Some(duration) if limits.range.contains(&duration) => return duration,
            Some(_) => self.errors.push(format!(
                "{name} is {text}, it must be from {} to {}",
                limits.display(min),
                limits.display(max)
            )),
            None => self.errors.push(format!(
                "{name} is {text:?}, it must be a duration such as {default}: a whole number of {}",
                limits.unit_names()
            )),
        }
        Duration::ZERO
    }

    /// A whole number without a sign or a leading zero.
    pub(super) fn whole(&mut self, name: &str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let Some(text) = self.get(name) else {
            return default;
        };
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.filter(|_| is_plain).unwrap_or_else(|| {
            let (min, max) = range.into_inner();
            self.errors.push(format!(
                "{name} is {text:?}, it must be a whole number from {min} to {max}"
            ));
            default
        })
    }

    pub(super) fn price(&mut self, name: &str, default: Price) -> Price {
        let Some(text) = self.get(name) else {
            return default;
        };
        Price::parse(&text).unwrap_or_else(|| {
            self.errors.push(format!(
                "{name} is {text:?}, it must be a price in USD per million, from 0 to 999, such as 0.20"
            ));
            default
        })
    }

    /// The first choice is the default.
    pub(super) fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> T {
        let text = self.text(name, choices[0].0);
        let chosen = choices.iter().find(|(choice, _)| *choice == text);
        chosen
            .unwrap_or_else(|| {
                let names = choices
                    .iter()
                    .map(|(choice, _)| *choice)
                    .collect::<Vec<_>>()
                    .join(" or ");
                self.errors
                    .push(format!("{name} is {text:?}, it must be {names}"));
                &choices[0]
            })
            .1
    }

    /// `/api`, `/api/` and `/shop/api` are base paths. `/` means no base path.
    pub(super) fn base_path(&mut self) -> String {
        let text = self.text("BASE_PATH", "");
        let path = text.strip_suffix('/').unwrap_or(&text);
        let is_segment = |segment: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            !segment.is_empty() && segment.chars().all(allowed)
        };
        let is_path = match path.strip_prefix('/') {
            Some(segments) => segments.split('/').all(is_segment),
            None => path.is_empty(),
        };
        if !is_path {
            self.errors.push(format!(
                "BASE_PATH is {text:?}, it must be a path such as /api, of letters, digits and -._~"
            ));
        }
        path.to_owned()
    }
}
