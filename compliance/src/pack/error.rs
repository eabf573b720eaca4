//! Why a pack was not loaded: which file, which line, and what to do about it.

use std::io;
use std::path::PathBuf;

use domicile_types::ParseError;

use crate::place::TerritoryError;

/// A folder of policies that cannot be used. Nothing is loaded when any pack is at fault: a missing pack would be a gap in
/// the law, not a smaller law.
#[derive(Debug, thiserror::Error)]
pub enum PackLoadError {
    /// The folder of policies cannot be listed.
    #[error("cannot list the policies folder {}: name a readable folder that holds one folder per pack", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder of policies holds no pack.
    #[error("{} holds no pack: put each pack into a folder of its own, with pack.toml in it", path.display())]
    NoPacks {
        /// The folder.
        path: PathBuf,
    },
    /// A folder's name is not a pack id.
    #[error("{} cannot be a pack: rename the folder", path.display())]
    Name {
        /// The folder.
        path: PathBuf,
        /// What a pack id looks like.
        source: ParseError,
    },
    /// A file is missing or unreadable.
    #[error("cannot read {}: a pack needs pack.toml, rules.cedar, cases.toml and SOURCES.md, in UTF-8", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than any pack needs.
    #[error("{} has {bytes} bytes, more than {bytes_max}: split the pack", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The longest allowed.
        bytes_max: u64,
    },
    /// Not TOML, or a field that is missing, misspelt or of the wrong type. The source shows the line.
    #[error("{} does not read as it should: correct the place shown and load again", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: toml::de::Error,
    },
    /// A territory map whose rows chain.
    #[error("the territory map in {} is not flat", path.display())]
    Territory {
        /// The file.
        path: PathBuf,
        /// Which rows.
        source: TerritoryError,
    },
    /// A fact with an impossible value.
    #[error("{}: {fact}: {problem}", path.display())]
    Fact {
        /// The file.
        path: PathBuf,
        /// Which fact.
        fact: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Cedar does not parse.
    #[error("{}:{line}: not Cedar: {problem}: correct the rule and load again", path.display())]
    RuleSyntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        problem: String,
    },
    /// An annotation is missing, unknown or malformed.
    #[error("{}:{line}: rule {rule}: {problem}", path.display())]
    Annotation {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The rule's `@id`, or its position.
        rule: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A rule does not validate against the schema that the pack's facts make.
    #[error("{}:{line}: rule {rule} does not validate: {problem}", path.display())]
    RuleInvalid {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The rule's `@id`.
        rule: String,
        /// What the validator says.
        problem: String,
    },
    /// Cases that check nothing: none at all, or of rules that the pack does not have, or none for a rule that it has.
    #[error("{}: {problem}", path.display())]
    Cases {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
}
