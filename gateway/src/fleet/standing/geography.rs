//! How far places are apart: a middle and a radius for each, drawn by hand and drawn wide.
//!
//! The radius reaches every point of the place that is a place of its own code (islands included, where they share it), so
//! that the least distance of two places is never overstated: a delay contradicts a place only where it must.

/// Mean radius of the earth, in kilometres.
const EARTH_KM: f64 = 6_371.0;

/// Where a place is, roughly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extent {
    latitude: f64,
    longitude: f64,
    /// No point of the place is farther from its middle.
    pub(super) radius_km: u16,
}

/// The extent of a country, by its ISO 3166-1 code.
pub(super) fn extent(country: &str) -> Option<Extent> {
    let found = PLACES.binary_search_by(|(code, ..)| (*code).cmp(country)).ok()?;
    let (_, latitude, longitude, radius_km) = *PLACES.get(found)?;
    Some(Extent { latitude, longitude, radius_km })
}

/// The great circle between the middles of two places, in kilometres (haversine).
pub(super) fn distance_km(one: &Extent, other: &Extent) -> f64 {
    let (from, to) = (one.latitude.to_radians(), other.latitude.to_radians());
    let north = ((to - from) / 2.0).sin().powi(2);
    let east = ((other.longitude - one.longitude).to_radians() / 2.0).sin().powi(2);
    let half_chord = north + from.cos() * to.cos() * east;
    2.0 * EARTH_KM * half_chord.sqrt().min(1.0).asin()
}

/// Code, latitude and longitude of the middle in degrees, radius in kilometres. Sorted by code.
const PLACES: [(&str, f64, f64, u16); 159] = [
    ("AD", 42.5, 1.5, 40),
    ("AE", 24.0, 54.0, 450),
    ("AF", 34.0, 66.0, 900),
    ("AG", 17.0, -62.0, 100),
    ("AL", 41.0, 20.0, 250),
    ("AM", 40.0, 45.0, 250),
    ("AO", -12.0, 18.0, 1100),
    ("AR", -38.0, -64.0, 2200),
    ("AT", 47.5, 14.0, 400),
    ("AU", -25.0, 134.0, 2600),
    ("AZ", 40.0, 48.0, 400),
    ("BA", 44.0, 18.0, 250),
    ("BB", 13.0, -59.5, 60),
    ("BD", 24.0, 90.0, 450),
    ("BE", 50.6, 4.6, 200),
    ("BG", 42.7, 25.5, 350),
    ("BH", 26.0, 50.5, 60),
    ("BN", 4.5, 114.7, 120),
    ("BO", -17.0, -65.0, 950),
    ("BR", -10.0, -53.0, 2700),
    ("BT", 27.4, 90.4, 250),
    ("BW", -22.0, 24.0, 700),
    ("BY", 53.5, 28.0, 450),
    ("BZ", 17.0, -88.7, 250),
    ("CA", 60.0, -96.0, 3200),
    ("CD", -3.0, 24.0, 1500),
    ("CG", -1.0, 15.0, 800),
    ("CH", 46.8, 8.2, 250),
    ("CI", 7.5, -5.5, 500),
    ("CL", -35.0, -71.0, 2700),
    ("CM", 6.0, 12.5, 800),
    ("CN", 36.0, 104.0, 2700),
    ("CO", 4.0, -73.0, 1200),
    ("CR", 10.0, -84.0, 400),
    ("CU", 21.5, -79.0, 700),
    ("CY", 35.0, 33.0, 160),
    ("CZ", 49.8, 15.5, 300),
    ("DE", 51.2, 10.4, 500),
    ("DJ", 11.8, 42.6, 150),
    ("DK", 56.0, 10.0, 350),
    ("DO", 18.8, -70.4, 250),
    ("DZ", 28.0, 2.6, 1400),
    ("EC", -1.5, -80.0, 1500),
    ("EE", 58.7, 25.5, 250),
    ("EG", 26.5, 30.0, 850),
    ("ES", 40.0, -4.0, 2300),
    ("ET", 9.0, 39.5, 1000),
    ("FI", 64.5, 26.0, 750),
    ("FJ", -18.0, 178.0, 500),
    ("FR", 46.6, 2.4, 800),
    ("GA", -0.7, 11.7, 500),
    ("GB", 54.5, -3.0, 750),
    ("GE", 42.2, 43.5, 350),
    ("GH", 8.0, -1.2, 450),
    ("GL", 72.0, -40.0, 1600),
    ("GR", 39.0, 23.0, 600),
    ("GT", 15.6, -90.3, 350),
    ("GU", 13.4, 144.8, 60),
    ("HK", 22.35, 114.15, 60),
    ("HN", 14.8, -86.6, 450),
    ("HR", 45.0, 16.4, 350),
    ("HT", 19.0, -72.7, 250),
    ("HU", 47.2, 19.4, 300),
    ("ID", -2.5, 118.0, 2900),
    ("IE", 53.3, -8.0, 350),
    ("IL", 31.4, 35.0, 300),
    ("IN", 22.0, 79.5, 2000),
    ("IQ", 33.0, 43.7, 650),
    ("IR", 32.5, 54.3, 1300),
    ("IS", 65.0, -18.7, 350),
    ("IT", 42.5, 12.5, 800),
    ("JM", 18.1, -77.3, 150),
    ("JO", 31.2, 36.5, 350),
    ("JP", 36.5, 137.5, 2200),
    ("KE", 0.5, 37.9, 650),
    ("KG", 41.5, 74.6, 550),
    ("KH", 12.7, 105.0, 350),
    ("KP", 40.2, 127.2, 450),
    ("KR", 36.4, 127.8, 450),
    ("KW", 29.3, 47.6, 150),
    ("KZ", 48.0, 67.0, 1700),
    ("LA", 18.4, 104.0, 650),
    ("LB", 33.9, 35.9, 130),
    ("LI", 47.15, 9.55, 30),
    ("LK", 7.7, 80.7, 300),
    ("LT", 55.3, 23.9, 250),
    ("LU", 49.8, 6.1, 60),
    ("LV", 56.9, 24.9, 300),
    ("LY", 27.0, 18.0, 1100),
    ("MA", 31.0, -7.0, 1100),
    ("MC", 43.74, 7.41, 15),
    ("MD", 47.2, 28.5, 250),
    ("ME", 42.8, 19.2, 120),
    ("MG", -19.4, 46.7, 900),
    ("MK", 41.6, 21.7, 150),
    ("MM", 21.0, 96.5, 1150),
    ("MN", 46.9, 103.8, 1300),
    ("MO", 22.17, 113.55, 30),
    ("MT", 35.9, 14.4, 50),
    ("MU", -20.2, 57.6, 700),
    ("MV", 3.2, 73.2, 550),
    ("MX", 23.9, -102.5, 1900),
    ("MY", 3.8, 109.5, 1300),
    ("MZ", -17.3, 35.5, 1200),
    ("NA", -22.1, 17.2, 900),
    ("NE", 17.4, 9.4, 1000),
    ("NG", 9.6, 8.1, 800),
    ("NI", 12.8, -85.0, 350),
    ("NL", 52.2, 5.5, 230),
    ("NO", 64.5, 15.0, 1200),
    ("NP", 28.2, 83.9, 550),
    ("NZ", -41.5, 172.5, 1200),
    ("OM", 20.6, 56.1, 650),
    ("PA", 8.5, -80.1, 400),
    ("PE", -9.2, -74.4, 1200),
    ("PG", -6.5, 145.0, 1100),
    ("PH", 12.0, 122.8, 1100),
    ("PK", 30.0, 69.4, 1100),
    ("PL", 52.1, 19.4, 450),
    ("PR", 18.2, -66.4, 130),
    ("PS", 31.9, 35.2, 130),
    ("PT", 39.6, -8.5, 2000),
    ("PY", -23.2, -58.4, 650),
    ("QA", 25.3, 51.2, 120),
    ("RO", 45.9, 25.0, 450),
    ("RS", 44.0, 20.8, 300),
    ("RU", 62.0, 95.0, 4400),
    ("RW", -2.0, 29.9, 170),
    ("SA", 24.0, 44.5, 1300),
    ("SD", 16.0, 30.0, 1200),
    ("SE", 62.8, 16.7, 900),
    ("SG", 1.35, 103.8, 50),
    ("SI", 46.1, 14.8, 180),
    ("SK", 48.7, 19.5, 260),
    ("SM", 43.94, 12.46, 15),
    ("SN", 14.4, -14.5, 450),
    ("SO", 4.8, 45.7, 1000),
    ("SV", 13.7, -88.9, 180),
    ("SY", 35.0, 38.5, 450),
    ("TH", 15.1, 101.0, 950),
    ("TJ", 38.5, 71.0, 500),
    ("TM", 39.1, 59.4, 700),
    ("TN", 34.1, 9.6, 500),
    ("TR", 39.1, 35.2, 950),
    ("TT", 10.5, -61.3, 120),
    ("TW", 23.75, 121.0, 450),
    ("TZ", -6.3, 34.8, 800),
    ("UA", 49.0, 31.4, 850),
    ("UG", 1.3, 32.4, 450),
    ("US", 45.0, -112.0, 5500),
    ("UY", -32.8, -56.0, 400),
    ("UZ", 41.8, 63.1, 900),
    ("VA", 41.9, 12.45, 10),
    ("VE", 7.1, -66.2, 950),
    ("VN", 16.6, 106.3, 1100),
    ("YE", 15.9, 47.6, 900),
    ("ZA", -29.0, 25.0, 1100),
    ("ZM", -13.5, 27.8, 900),
    ("ZW", -19.0, 29.9, 550),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_on_the_globe() {
        assert!(PLACES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (code, latitude, longitude, radius_km) in PLACES {
            assert!(code.len() == 2 && latitude.abs() <= 90.0 && longitude.abs() <= 180.0 && radius_km > 0, "{code}");
        }
    }

    #[test]
    fn cities_lie_within_the_place_whose_they_are() {
        // Far corners: Urumqi, Harbin, Honolulu, Anchorage, Miami, Tenerife, Ponta Delgada, Kaliningrad, Okinawa, Perth.
        for (code, latitude, longitude) in [
            ("CN", 43.8, 87.6),
            ("CN", 45.8, 126.5),
            ("CN", 18.2, 109.5),
            ("US", 21.3, -157.9),
            ("US", 61.2, -149.9),
            ("US", 25.8, -80.2),
            ("ES", 28.5, -16.3),
            ("PT", 37.7, -25.7),
            ("RU", 54.7, 20.5),
            ("RU", 43.1, 131.9),
            ("JP", 26.2, 127.7),
            ("AU", -32.0, 115.9),
            ("FR", 41.9, 8.7),
            ("GB", 60.2, -1.1),
            ("DE", 54.8, 9.4),
            ("IT", 37.5, 15.1),
        ] {
            let place = extent(code).unwrap();
            let city = Extent { latitude, longitude, radius_km: 0 };
            let apart = distance_km(&place, &city);
            assert!(apart <= f64::from(place.radius_km), "{code}: {apart} km");
        }
    }

    #[test]
    fn known_distances_come_out() {
        let at = |latitude, longitude| Extent { latitude, longitude, radius_km: 0 };
        // Berlin to Beijing, and once around to the other side.
        assert!((distance_km(&at(52.52, 13.4), &at(39.9, 116.4)) - 7_360.0).abs() < 30.0);
        assert!((distance_km(&at(0.0, 0.0), &at(0.0, 180.0)) - 20_015.0).abs() < 1.0);
    }
}
