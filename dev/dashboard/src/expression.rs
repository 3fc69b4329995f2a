//! Metric math: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html>.
//!
//! ```text
//! sum     = product *( "+" product )
//! product = factor *( ( "*" / "/" ) factor )
//! factor  = number / id / "FILL(" sum "," number ")" / "(" sum ")"
//! ```
//!
//! The dashboard uses nothing else. A sign that is not in this grammar is an error.

use std::collections::BTreeMap;

/// A value for each period, by the period's number. A period without data has none.
pub type Points = BTreeMap<u64, f64>;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    Number(f64),
    /// The id of another row of the widget.
    Id(String),
    Fill(Box<Self>, f64),
    Binary(Box<Self>, Operator, Box<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Add,
    Multiply,
    Divide,
}

/// Why an expression is not evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the expression {expression:?} is not supported from {rest:?} on")]
pub struct ExpressionError {
    pub expression: String,
    /// What was not understood.
    pub rest: String,
}

/// A number, or a value for each period.
enum Outcome {
    Scalar(f64),
    Series(Points),
}

impl Expression {
    /// # Errors
    ///
    /// The expression uses something that the grammar above does not have. The error names where.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let mut parser = Parser { rest: text };
        let parsed = parser.sum();
        match parsed {
            Some(expression) if parser.rest.trim().is_empty() => Ok(expression),
            _ => Err(ExpressionError {
                expression: text.to_owned(),
                rest: parser.rest.trim_start().to_owned(),
            }),
        }
    }

    /// The ids of the rows that it uses.
    pub fn ids(&self) -> Vec<&str> {
        match self {
            Self::Number(_) => Vec::new(),
            Self::Id(id) => vec![id],
            Self::Fill(of, _) => of.ids(),
            Self::Binary(left, _, right) => [left.ids(), right.ids()].concat(),
        }
    }

    /// Evaluates it in `periods` periods. A period in which an operand has no data has no value, as in CloudWatch.
    ///
    /// # Errors
    ///
    /// The id of a row that is not in `rows`, or the text of an expression without any metric.
    pub fn evaluate(
        &self,
        rows: &BTreeMap<String, Points>,
        periods: u64,
    ) -> Result<Points, String> {
        match self.outcome(rows, periods)? {
            Outcome::Series(points) => Ok(points),
            Outcome::Scalar(number) => Err(format!("{number} is not a time series")),
        }
    }

    fn outcome(&self, rows: &BTreeMap<String, Points>, periods: u64) -> Result<Outcome, String> {
        Ok(match self {
            Self::Number(number) => Outcome::Scalar(*number),
            Self::Id(id) => {
                let points = rows.get(id).cloned();
                Outcome::Series(points.ok_or_else(|| format!("no row has the id {id}"))?)
            }
            Self::Fill(of, number) => {
                let points = of.evaluate(rows, periods)?;
                let filled = (0..periods).map(|at| (at, *points.get(&at).unwrap_or(number)));
                Outcome::Series(filled.collect())
            }
            Self::Binary(left, operator, right) => {
                operator.apply(left.outcome(rows, periods)?, right.outcome(rows, periods)?)
            }
        })
    }
}

impl Operator {
    fn apply(self, left: Outcome, right: Outcome) -> Outcome {
        let series = match (left, right) {
            (Outcome::Scalar(left), Outcome::Scalar(right)) => {
                return Outcome::Scalar(self.of(left, right));
            }
            (Outcome::Series(left), Outcome::Scalar(right)) => {
                let each = left.into_iter();
                each.map(|(at, left)| (at, self.of(left, right))).collect()
            }
            (Outcome::Scalar(left), Outcome::Series(right)) => {
                let each = right.into_iter();
                each.map(|(at, right)| (at, self.of(left, right))).collect()
            }
            (Outcome::Series(left), Outcome::Series(right)) => {
                let both = left.into_iter().filter_map(|(at, left)| {
                    let right = right.get(&at)?;
                    Some((at, self.of(left, *right)))
                });
                both.collect()
            }
        };
        Outcome::Series(series)
    }

    fn of(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Option<Expression> {
        let mut left = self.product()?;
        while self.take("+") {
            left = binary(left, Operator::Add, self.product()?);
        }
        Some(left)
    }

    fn product(&mut self) -> Option<Expression> {
        let mut left = self.factor()?;
        loop {
            let operator = match () {
                () if self.take("*") => Operator::Multiply,
                () if self.take("/") => Operator::Divide,
                () => return Some(left),
            };
            left = binary(left, operator, self.factor()?);
        }
    }

    fn factor(&mut self) -> Option<Expression> {
        if self.take("FILL(") {
            let of = self.sum()?;
            let number = if self.take(",") {
                self.number()?
            } else {
                return None;
            };
            return self
                .take(")")
                .then(|| Expression::Fill(Box::new(of), number));
        }
        if self.take("(") {
            let sum = self.sum()?;
            return self.take(")").then_some(sum);
        }
        if let Some(number) = self.number() {
            return Some(Expression::Number(number));
        }
        // An id begins with a lowercase letter, a function with an uppercase one.
        if !self.rest.starts_with(|c: char| c.is_ascii_lowercase()) {
            return None;
        }
        let id = self.word(|c| c.is_ascii_alphanumeric() || c == '_')?;
        Some(Expression::Id(id.to_owned()))
    }

    fn number(&mut self) -> Option<f64> {
        self.rest = self.rest.trim_start();
        let before = self.rest;
        let number = self.word(|c| c.is_ascii_digit() || c == '.')?.parse().ok();
        if number.is_none() {
            self.rest = before;
        }
        number
    }

    fn word(&mut self, accepts: impl Fn(char) -> bool) -> Option<&'a str> {
        let end = self.rest.find(|c| !accepts(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn take(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

fn binary(left: Expression, operator: Operator, right: Expression) -> Expression {
    Expression::Binary(Box::new(left), operator, Box::new(right))
}
