//! What the binary carries, so that the demo needs nothing but the binary: packs, location databases, the tour.

use std::path::Path;

use anyhow::Context;

macro_rules! pack {
    ($name:literal) => {
        [
            (concat!($name, "/pack.toml"), include_bytes!(concat!("../../../policies/", $name, "/pack.toml")) as &[u8]),
            (concat!($name, "/rules.cedar"), include_bytes!(concat!("../../../policies/", $name, "/rules.cedar"))),
            (concat!($name, "/cases.toml"), include_bytes!(concat!("../../../policies/", $name, "/cases.toml"))),
            (concat!($name, "/SOURCES.md"), include_bytes!(concat!("../../../policies/", $name, "/SOURCES.md"))),
        ]
    };
}

/// Files of the packs, by path below `policies/`.
const PACKS: &[[(&str, &[u8]); 4]] = &[
    pack!("ae"),
    pack!("au-privacy"),
    pack!("br-lgpd"),
    pack!("ca-qc-law25"),
    pack!("ch-fadp"),
    pack!("cn-data-export"),
    pack!("eu-data-act"),
    pack!("eu-gdpr"),
    pack!("id-pdp"),
    pack!("in-dpdp"),
    pack!("jp-appi"),
    pack!("kr-pipa"),
    pack!("ru-152fz"),
    pack!("sa-pdpl"),
    pack!("uk-gdpr"),
    pack!("us-bulk-data"),
    pack!("us-cjis"),
    pack!("us-hipaa"),
    pack!("us-itar-ear"),
    pack!("vn-pdpl"),
];

/// Location databases, with what their licences want said.
const DATABASES: [(&str, &[u8]); 2] = [
    ("dbip-country.mmdb", include_bytes!("../../../compliance/geo/dbip-country.mmdb")),
    ("geo-whois-asn-country.mmdb", include_bytes!("../../../compliance/geo/geo-whois-asn-country.mmdb")),
];

/// The tour, in Python.
const TOUR: &[(&str, &[u8])] = &[
    (TOUR_FILE, include_bytes!("tour/tour.py")),
    ("approvals.py", include_bytes!("tour/approvals.py")),
    ("clients.py", include_bytes!("tour/clients.py")),
    ("copies.py", include_bytes!("tour/copies.py")),
    ("dataset.py", include_bytes!("tour/dataset.py")),
    ("ends.py", include_bytes!("tour/ends.py")),
    ("law.py", include_bytes!("tour/law.py")),
    ("evidence.py", include_bytes!("tour/evidence.py")),
    ("operators.py", include_bytes!("tour/operators.py")),
    ("faults.py", include_bytes!("tour/faults.py")),
    ("registers.py", include_bytes!("tour/registers.py")),
    ("repairs.py", include_bytes!("tour/repairs.py")),
    ("reports.py", include_bytes!("tour/reports.py")),
    ("walk.py", include_bytes!("tour/walk.py")),
    ("versions.py", include_bytes!("tour/versions.py")),
    ("proof.py", include_bytes!("tour/proof.py")),
];

/// The verifier of bundles that shares no code with this one: its source, in Go.
const SECOND_VERIFIER: (&str, &[u8]) = ("verify.go", include_bytes!("../../../tests/verifiers/go/verify.go"));

/// The file that runs the tour.
pub(super) const TOUR_FILE: &str = "tour.py";

/// Writes the packs below `folder`.
pub(super) fn write_packs(folder: &Path) -> anyhow::Result<()> {
    PACKS.iter().flatten().try_for_each(|(name, bytes)| write(&folder.join(name), bytes))
}

/// Writes the location databases into `folder`; their names.
pub(super) fn write_databases(folder: &Path) -> anyhow::Result<Vec<&'static str>> {
    DATABASES.iter().try_for_each(|(name, bytes)| write(&folder.join(name), bytes))?;
    Ok(DATABASES.iter().map(|(name, _)| *name).collect())
}

/// Writes the tour into `folder`.
pub(super) fn write_tour(folder: &Path) -> anyhow::Result<()> {
    TOUR.iter().chain([&SECOND_VERIFIER]).try_for_each(|(name, bytes)| write(&folder.join(name), bytes))
}

/// Left alone where it is the same already: a database of some megabytes need not be written at each start.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Names below a folder of the source tree, `skip` left out.
    fn listed(folder: &str, ending: &str) -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(ending)).collect()
    }

    #[test]
    fn every_pack_database_and_script_of_the_source_tree_is_carried() {
        let packs = PACKS.iter().flatten().map(|(name, _)| name.split('/').next().unwrap().to_owned());
        let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
        let folders = std::fs::read_dir(folders).unwrap().map(|entry| entry.unwrap());
        let folders = folders.filter(|entry| entry.path().is_dir());
        assert_eq!(
            packs.collect::<BTreeSet<_>>(),
            folders.map(|entry| entry.file_name().into_string().unwrap()).collect::<BTreeSet<_>>()
        );
        let carried =
            |table: &[(&str, &[u8])]| table.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(carried(&DATABASES), listed("../compliance/geo", ".mmdb"));
        assert_eq!(carried(TOUR), listed("src/demo/tour", ".py"));
    }
}
