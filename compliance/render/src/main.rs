//! `domicile-render`: a report as JSON on standard input becomes PDF/A on standard output.

fn main() -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
