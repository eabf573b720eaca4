//! Conditions: an operator, a key, and the values that the policy states.

use ipnet::IpNet;
use time::OffsetDateTime;

use super::json::Json;
use super::keys::{Facts, Key};
use super::operator::{Each, Operator, Order, Test};
use super::pattern::{Pattern, Syntax, Unresolved};
use super::values;

/// One key of one operator of a statement's `Condition`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) operator: Operator,
    pub(super) key: Key,
    pub(super) values: Values,
}

/// What the policy states, in the operator's terms.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Text(Vec<Pattern>),
    Arn(Vec<Vec<Pattern>>),
    Number(Vec<f64>),
    Date(Vec<OffsetDateTime>),
    Bool(Vec<bool>),
    Address(Vec<IpNet>),
}

/// Fields of an ARN: `arn:partition:service:region:account:resource`, the last of which may hold colons.
const ARN_FIELDS: usize = 6;

impl Condition {
    /// Reads the values that a document states for `key` under `operator`.
    pub(super) fn parse(operator: &str, key: &str, stated: &Json, variables: bool) -> Result<Self, String> {
        let name = operator;
        let operator = Operator::parse(name).ok_or_else(|| format!("the condition operator {name:?} is not known"))?;
        let key = Key::parse(key)?;
        if !operator.takes(key.kind()) {
            return Err(format!("the condition operator {name} does not go with the key {}", key.name()));
        }
        if key.is_many() && operator.each == Each::Single && operator.test != Test::Null {
            let key = key.name();
            return Err(format!(
                "the condition key {key} has many values: say ForAllValues:{name} or ForAnyValue:{name}"
            ));
        }
        let texts =
            texts(stated).ok_or_else(|| format!("the values of {name} {} are {}", key.name(), stated.kind()))?;
        if texts.is_empty() {
            return Err(format!("{name} {} states no value", key.name()));
        }
        let values = Values::parse(operator.test, &texts, variables)
            .map_err(|why| format!("a value of {name} {}: {why}", key.name()))?;
        Ok(Self { operator, key, values })
    }

    /// Whether it holds for what the request says.
    pub(super) fn holds(&self, facts: &Facts) -> Result<bool, Unresolved> {
        let Operator { test, negated, if_exists, each } = self.operator;
        let requested = facts.values(&self.key);
        if test == Test::Null {
            let wanted = matches!(&self.values, Values::Bool(wanted) if wanted.contains(&requested.is_empty()));
            return Ok(wanted);
        }
        if requested.is_empty() {
            // What is not there differs from every value.
            return Ok(match each {
                Each::Single => if_exists || negated,
                Each::All => true,
                Each::Any => if_exists,
            });
        }
        let matches = |value: &String| self.values.contain(test, value, facts).map(|found| found != negated);
        match each {
            Each::Single => requested.first().map_or(Ok(false), matches),
            Each::All => {
                for value in requested {
                    if !matches(value)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Each::Any => {
                for value in requested {
                    if matches(value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// The keys that it asks for: its own, and those of its variables.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        let patterns: Vec<&Pattern> = match &self.values {
            Values::Text(patterns) => patterns.iter().collect(),
            Values::Arn(arns) => arns.iter().flatten().collect(),
            _ => Vec::new(),
        };
        std::iter::once(&self.key).chain(patterns.into_iter().flat_map(Pattern::variables))
    }
}

impl Values {
    fn parse(test: Test, texts: &[String], variables: bool) -> Result<Self, String> {
        fn all<T>(texts: &[String], read: impl Fn(&str) -> Option<T>, what: &str) -> Result<Vec<T>, String> {
            texts.iter().map(|text| read(text).ok_or_else(|| format!("{text:?} is not {what}"))).collect()
        }
        let syntax = |wildcards| Syntax { wildcards, variables };
        Ok(match test {
            Test::Text { .. } => {
                Self::Text(texts.iter().map(|text| Pattern::parse(text, syntax(false))).collect::<Result<_, _>>()?)
            }
            Test::Like => {
                Self::Text(texts.iter().map(|text| Pattern::parse(text, syntax(true))).collect::<Result<_, _>>()?)
            }
            Test::Arn => Self::Arn(texts.iter().map(|text| arn(text, syntax(true))).collect::<Result<_, _>>()?),
            Test::Number(_) => Self::Number(all(texts, values::number, "a number")?),
            Test::Date(_) => Self::Date(all(texts, values::date, "a time in ISO 8601")?),
            Test::Bool | Test::Null => Self::Bool(all(texts, values::boolean, "true or false")?),
            Test::Address => Self::Address(all(texts, values::network, "an address or a network")?),
        })
    }

    /// Whether one of them goes with the request's value.
    fn contain(&self, test: Test, requested: &str, facts: &Facts) -> Result<bool, Unresolved> {
        let order = match test {
            Test::Number(order) | Test::Date(order) => order,
            _ => Order::Equal,
        };
        Ok(match self {
            Self::Text(patterns) => {
                let fold_case = matches!(test, Test::Text { fold_case: true });
                for pattern in patterns {
                    if pattern.matches(requested, facts, fold_case)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Arn(arns) => {
                for arn in arns {
                    if arn_matches(arn, requested, facts)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Number(stated) => {
                values::number(requested).is_some_and(|value| stated.iter().any(|number| order.holds(&value, number)))
            }
            Self::Date(stated) => {
                values::date(requested).is_some_and(|value| stated.iter().any(|date| order.holds(&value, date)))
            }
            Self::Bool(stated) => values::boolean(requested).is_some_and(|value| stated.contains(&value)),
            Self::Address(networks) => {
                values::address(requested).is_some_and(|value| networks.iter().any(|net| net.contains(&value)))
            }
        })
    }
}

/// A value or a list of values as text.
fn texts(stated: &Json) -> Option<Vec<String>> {
    let one = |value: &Json| match value {
        Json::Text(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        Json::Null | Json::List(_) | Json::Object(_) => None,
    };
    match stated {
        Json::List(list) => list.iter().map(one).collect(),
        value => one(value).map(|text| vec![text]),
    }
}

/// Splits at colons, but not at those of variables.
fn arn(text: &str, syntax: Syntax) -> Result<Vec<Pattern>, String> {
    let (mut fields, mut field, mut rest) = (Vec::new(), String::new(), text);
    while let Some(c) = rest.chars().next() {
        let end = if rest.starts_with("${") { rest.find('}').map(|at| at + 1) } else { None };
        let (head, tail) = rest.split_at(end.unwrap_or(c.len_utf8()));
        match head {
            ":" if fields.len() + 1 < ARN_FIELDS => fields.push(std::mem::take(&mut field)),
            head => field.push_str(head),
        }
        rest = tail;
    }
    fields.push(field);
    if fields.len() != ARN_FIELDS && text != "*" {
        return Err(format!("{text:?} is not an ARN"));
    }
    fields.iter().map(|field| Pattern::parse(field, syntax)).collect()
}

fn arn_matches(arn: &[Pattern], requested: &str, facts: &Facts) -> Result<bool, Unresolved> {
    if let [any] = arn {
        return any.matches(requested, facts, false);
    }
    let fields: Vec<&str> = requested.splitn(ARN_FIELDS, ':').collect();
    if fields.len() != arn.len() {
        return Ok(false);
    }
    for (pattern, field) in arn.iter().zip(fields) {
        if !pattern.matches(field, facts, false)? {
            return Ok(false);
        }
    }
    Ok(true)
}
