//! What a place counts as: a pack's own reading of territory, and the groups of places it knows.
//!
//! A [`Place`](domicile_types::Place) is neutral; law is not. 28 CFR 202 counts Hong Kong as China, the CAC counts it as
//! abroad, the GDPR counts French Guiana as France and New Caledonia as a third country. Nothing here knows any of that:
//! the tables come from a pack's `pack.toml`.

mod groups;
mod territory;
mod window;

pub use crate::place::groups::{Group, Membership, Standing};
pub use crate::place::territory::{TerritoryError, TerritoryMap};
pub use crate::place::window::Window;
