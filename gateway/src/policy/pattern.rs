//! Text with wildcards and policy variables.

use super::keys::{Facts, Key};

/// A text that may hold `*` (any characters), `?` (one character) and variables such as `${aws:username}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Char(char),
    /// `?`
    One,
    /// `*`
    Any,
    Variable {
        key: Key,
        default: Option<String>,
    },
}

/// A variable in a policy has no value in the request, so what the text says cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unresolved;

/// Which special characters a text has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syntax {
    /// `*` and `?` are wildcards.
    pub(super) wildcards: bool,
    /// `${...}` are variables; in documents of version 2008-10-17 they are plain text.
    pub(super) variables: bool,
}

impl Pattern {
    /// Reads a text; what is wrong with its variables otherwise.
    pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(inner) = rest.strip_prefix("${").filter(|_| syntax.variables) {
                let (variable, after) =
                    inner.split_once('}').ok_or_else(|| format!("the variable in {text:?} has no closing brace"))?;
                pieces.push(variable_piece(variable)?);
                rest = after;
                continue;
            }
            pieces.push(match c {
                '*' if syntax.wildcards => Piece::Any,
                '?' if syntax.wildcards => Piece::One,
                c => Piece::Char(c),
            });
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        Ok(Self(pieces))
    }

    /// Whether it matches all of `text`.
    pub(super) fn matches(&self, text: &str, facts: &Facts, fold_case: bool) -> Result<bool, Unresolved> {
        let fold = |text: &str| if fold_case { text.to_lowercase() } else { text.to_owned() };
        let mut pattern = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            match piece {
                Piece::Char(c) => pattern.extend(fold(c.encode_utf8(&mut [0; 4])).chars().map(Glob::Char)),
                Piece::One => pattern.push(Glob::One),
                Piece::Any => pattern.push(Glob::Any),
                Piece::Variable { key, default } => {
                    let value = facts.first(key).or(default.as_deref()).ok_or(Unresolved)?;
                    pattern.extend(fold(value).chars().map(Glob::Char));
                }
            }
        }
        let text: Vec<char> = fold(text).chars().collect();
        Ok(glob(&pattern, &text))
    }

    /// Whether some value of its variables could make it match `text`.
    pub(super) fn may_match(&self, text: &str) -> bool {
        let loose = |piece: &Piece| match piece {
            Piece::Char(c) => Glob::Char(*c),
            Piece::One => Glob::One,
            Piece::Any | Piece::Variable { .. } => Glob::Any,
        };
        let pattern: Vec<Glob> = self.0.iter().map(loose).collect();
        glob(&pattern, &text.chars().collect::<Vec<_>>())
    }

    /// Whether some value of its variables could make it match a text that begins with `prefix` and goes on.
    pub(super) fn may_begin(&self, prefix: &str) -> bool {
        let mut prefix = prefix.chars();
        for piece in &self.0 {
            match piece {
                Piece::Any | Piece::Variable { .. } => return true,
                Piece::Char(c) => match prefix.next() {
                    Some(wanted) if wanted == *c => {}
                    Some(_) => return false,
                    None => return true,
                },
                Piece::One => {
                    if prefix.next().is_none() {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Whether it matches the empty text only.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it says one text and no other, whoever asks.
    pub(super) fn is_fixed(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Char(_)))
    }

    /// The keys of its variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = &Key> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable { key, .. } => Some(key),
            _ => None,
        })
    }
}

/// `aws:username`, `aws:username, 'nobody'`, or one of the characters that are special outside.
fn variable_piece(variable: &str) -> Result<Piece, String> {
    if let "*" | "?" | "$" = variable {
        return Ok(Piece::Char(variable.chars().next().unwrap_or('$')));
    }
    let (name, default) = match variable.split_once(',') {
        None => (variable, None),
        Some((name, quoted)) => {
            let quoted = quoted.trim();
            let inner = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            let inner = inner.ok_or_else(|| format!("the default of ${{{variable}}} is not in single quotes"))?;
            (name, Some(inner.to_owned()))
        }
    };
    let key = Key::parse(name.trim()).map_err(|why| format!("the variable ${{{variable}}}: {why}"))?;
    if key.is_many() {
        return Err(format!("the variable ${{{variable}}} has many values"));
    }
    Ok(Piece::Variable { key, default })
}

#[derive(Clone, Copy)]
enum Glob {
    Char(char),
    One,
    Any,
}

/// Matches with one point of return, the last `*`: never more than the product of the lengths.
fn glob(pattern: &[Glob], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), text.get(t)) {
            (Some(Glob::Any), _) => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            (Some(Glob::One), Some(_)) => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            (Some(Glob::Char(wanted)), Some(c)) if wanted == c => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        match retry {
            Some((after, from)) if from < text.len() => {
                retry = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Syntax = Syntax { wildcards: true, variables: true };

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, FULL).unwrap().matches(text, &Facts::default(), false).unwrap()
    }

    #[test]
    fn wildcards_match_whole_texts() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("a*b", "ab"),
            ("a*b", "a/x/b"),
            ("a?c", "aéc"),
            ("*.jpg", "a.jpg.jpg"),
            ("a*a*a", "aaaa"),
            ("**", "x"),
            ("${*}${?}${$}", "*?$"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a", ""), ("a?c", "ac"), ("a*b", "abc"), ("?", ""), ("${*}", "x")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        assert!(!matches(&"*a".repeat(2_000), &"a".repeat(1_024)));
    }

    #[test]
    fn a_variable_is_the_requests_value_taken_literally() {
        let pattern = Pattern::parse("home/${aws:username}/*", FULL).unwrap();
        let mut facts = Facts::default();
        facts.add("aws:username", "a*");
        assert_eq!(pattern.matches("home/a*/x", &facts, false), Ok(true));
        assert_eq!(pattern.matches("home/ab/x", &facts, false), Ok(false));
        assert_eq!(pattern.matches("home/ab/x", &Facts::default(), false), Err(Unresolved));
        let with_default = Pattern::parse("${aws:username, 'nobody'}", FULL).unwrap();
        assert_eq!(with_default.matches("nobody", &Facts::default(), false), Ok(true));
    }

    #[test]
    fn variables_that_cannot_be_are_refused() {
        for bad in ["${aws:username", "${aws:nothing}", "${aws:username, x}", "${}", "${s3:RequestObjectTagKeys}"] {
            assert!(Pattern::parse(bad, FULL).is_err(), "{bad}");
        }
        let plain = Pattern::parse("${aws:nothing}", Syntax { wildcards: true, variables: false }).unwrap();
        assert!(plain.is_fixed() && plain.may_match("${aws:nothing}"));
    }
}
