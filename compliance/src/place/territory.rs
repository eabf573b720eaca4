//! Territory maps: how one pack reads a place.

use std::collections::BTreeMap;

use domicile_types::Place;

/// One pack's reading of places. A place without a row counts as itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TerritoryMap {
    rows: BTreeMap<Place, Place>,
}

/// A row that would make the reading depend on the order of rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} counts as {counts_as}, which itself counts as {further}: write {place} = \"{further}\" instead")]
pub struct TerritoryError {
    place: Place,
    counts_as: Place,
    further: Place,
}

impl TerritoryMap {
    /// From rows `place -> what it counts as`. A place may count as `unknown`: disputed territory that a pack will not
    /// place. Rows do not chain.
    pub fn new(rows: BTreeMap<Place, Place>) -> Result<Self, TerritoryError> {
        for (place, counts_as) in &rows {
            if let Some(further) = rows.get(counts_as).filter(|further| *further != counts_as) {
                return Err(TerritoryError { place: *place, counts_as: *counts_as, further: *further });
            }
        }
        Ok(Self { rows })
    }

    /// What `place` counts as: by its own row, else by its country's row, else itself. Unknown stays unknown.
    ///
    /// The subdivision's own row comes first because ISO 3166-2 lists Hong Kong, Macao and Taiwan as `CN-HK`, `CN-MO` and
    /// `CN-TW`, and New Caledonia as `FR-NC`: a code within a country is not always the country's law.
    #[must_use]
    pub fn read(&self, place: Place) -> Place {
        if let Some(counts_as) = self.rows.get(&place) {
            return *counts_as;
        }
        let country = place.country().map(Place::Country);
        country.and_then(|country| self.rows.get(&country)).copied().unwrap_or(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::parse(text).unwrap()
    }

    fn map(rows: &[(&str, &str)]) -> Result<TerritoryMap, TerritoryError> {
        TerritoryMap::new(rows.iter().map(|(from, to)| (place(from), place(to))).collect())
    }

    #[test]
    fn the_same_place_counts_differently_for_two_packs() {
        let cac = map(&[("CN-HK", "HK")]).unwrap();
        let doj = map(&[("HK", "CN"), ("CN-TW", "TW")]).unwrap();
        assert_eq!(cac.read(place("HK")), place("HK"));
        assert_eq!(cac.read(place("CN-HK")), place("HK"));
        assert_eq!(doj.read(place("HK")), place("CN"));
        assert_eq!(doj.read(place("CN-TW")), place("TW"));
    }

    #[test]
    fn a_subdivision_follows_its_country_unless_it_has_a_row() {
        let map = map(&[("GF", "FR"), ("FR-NC", "NC")]).unwrap();
        assert_eq!(map.read(place("GF-C")), place("FR"));
        assert_eq!(map.read(place("FR-NC")), place("NC"));
        assert_eq!(map.read(place("FR-974")), place("FR-974"));
        assert_eq!(map.read(Place::Unknown), Place::Unknown);
    }

    #[test]
    fn rows_that_chain_are_refused() {
        let error = map(&[("FR-GF", "GF"), ("GF", "FR")]).unwrap_err();
        assert!(error.to_string().contains("FR-GF = \"FR\""), "{error}");
    }
}
