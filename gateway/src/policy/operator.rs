//! Condition operators.

use super::keys::Kind;

/// How a value of the request is compared with one of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// The same text.
    Text { fold_case: bool },
    /// Text with wildcards.
    Like,
    /// Names of six fields, each with wildcards.
    Arn,
    /// Numbers.
    Number(Order),
    /// Times.
    Date(Order),
    /// `true` or `false`.
    Bool,
    /// An address in a network.
    Address,
    /// Whether the request has no value.
    Null,
}

/// How two numbers or times must stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    /// Whether the request's value stands so to the policy's.
    pub(super) fn holds<T: PartialOrd>(self, requested: &T, stated: &T) -> bool {
        match self {
            Self::Equal => requested == stated,
            Self::Less => requested < stated,
            Self::LessOrEqual => requested <= stated,
            Self::Greater => requested > stated,
            Self::GreaterOrEqual => requested >= stated,
        }
    }
}

/// Which of a request's values must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Each {
    /// The key has one value.
    Single,
    /// `ForAllValues`: every value there is; none at all will do.
    All,
    /// `ForAnyValue`: at least one.
    Any,
}

/// An operator as a document writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) test: Test,
    /// `StringNotEquals` and its like.
    pub(super) negated: bool,
    /// `...IfExists`: a key without a value will do.
    pub(super) if_exists: bool,
    pub(super) each: Each,
}

const OPERATORS: &[(&str, Test, bool)] = &[
    ("StringEquals", Test::Text { fold_case: false }, false),
    ("StringNotEquals", Test::Text { fold_case: false }, true),
    ("StringEqualsIgnoreCase", Test::Text { fold_case: true }, false),
    ("StringNotEqualsIgnoreCase", Test::Text { fold_case: true }, true),
    ("StringLike", Test::Like, false),
    ("StringNotLike", Test::Like, true),
    ("ArnEquals", Test::Arn, false),
    ("ArnLike", Test::Arn, false),
    ("ArnNotEquals", Test::Arn, true),
    ("ArnNotLike", Test::Arn, true),
    ("NumericEquals", Test::Number(Order::Equal), false),
    ("NumericNotEquals", Test::Number(Order::Equal), true),
    ("NumericLessThan", Test::Number(Order::Less), false),
    ("NumericLessThanEquals", Test::Number(Order::LessOrEqual), false),
    ("NumericGreaterThan", Test::Number(Order::Greater), false),
    ("NumericGreaterThanEquals", Test::Number(Order::GreaterOrEqual), false),
    ("DateEquals", Test::Date(Order::Equal), false),
    ("DateNotEquals", Test::Date(Order::Equal), true),
    ("DateLessThan", Test::Date(Order::Less), false),
    ("DateLessThanEquals", Test::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Test::Date(Order::Greater), false),
    ("DateGreaterThanEquals", Test::Date(Order::GreaterOrEqual), false),
    ("Bool", Test::Bool, false),
    ("IpAddress", Test::Address, false),
    ("NotIpAddress", Test::Address, true),
    ("Null", Test::Null, false),
];

impl Operator {
    /// The operator of that name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (each, rest) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Each::All, rest),
            Some(("ForAnyValue", rest)) => (Each::Any, rest),
            Some(_) => return None,
            None => (Each::Single, name),
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let (_, test, negated) = OPERATORS.iter().find(|(known, ..)| *known == base).copied()?;
        // Null asks whether there are values: it has nothing to do with each of them, or with their absence allowed.
        let is_plain = each == Each::Single && !if_exists;
        (test != Test::Null || is_plain).then_some(Self { test, negated, if_exists, each })
    }

    /// Whether values of that kind can be compared so.
    pub(super) const fn takes(self, kind: Kind) -> bool {
        match self.test {
            // Networks and times have many spellings; as text they would be compared by spelling.
            Test::Text { .. } | Test::Like => !matches!(kind, Kind::Address | Kind::Date | Kind::Epoch),
            Test::Arn => matches!(kind, Kind::Arn),
            Test::Number(_) => matches!(kind, Kind::Number | Kind::Epoch),
            Test::Date(_) => matches!(kind, Kind::Date | Kind::Epoch),
            Test::Bool => matches!(kind, Kind::Bool),
            Test::Address => matches!(kind, Kind::Address),
            Test::Null => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_has_its_forms_and_null_has_none() {
        for (name, test, negated) in OPERATORS.iter().filter(|(name, ..)| *name != "Null") {
            for (each, prefix) in [(Each::Single, ""), (Each::All, "ForAllValues:"), (Each::Any, "ForAnyValue:")] {
                for (if_exists, suffix) in [(false, ""), (true, "IfExists")] {
                    let parsed = Operator::parse(&format!("{prefix}{name}{suffix}"));
                    assert_eq!(parsed, Some(Operator { test: *test, negated: *negated, if_exists, each }));
                }
            }
        }
        assert!(Operator::parse("Null").is_some());
        for bad in ["NullIfExists", "ForAnyValue:Null", "stringequals", "BinaryEquals", "ForSomeValues:Bool", ""] {
            assert_eq!(Operator::parse(bad), None, "{bad}");
        }
    }
}
