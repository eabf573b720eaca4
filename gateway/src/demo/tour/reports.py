"""What an officer files: the register of exports as PDF in two languages, sealed in the log."""

import datetime
import json

from pypdf import PdfReader

from clients import expect, expect_that


def the_register_of_exports_is_a_pdf_in_both_languages_and_the_log_seals_it(demo):
    folder = demo.folder / "reports"
    folder.mkdir(exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    # One period for all of them, so that they say the same.
    period = ["--from", (now - datetime.timedelta(days=1)).isoformat(), "--to", now.isoformat()]
    made = {}
    for name, words in {
        "register.json": ["--format", "json"],
        "register-en.pdf": ["--lang", "en"],
        "register-zh.pdf": ["--lang", "zh"],
    }.items():
        out = str(folder / name)
        made[name] = demo.json("report", "export-register", *period, *words, "--out", out)
        yield f"{name}: {made[name]['bytes']} bytes, sealed by entry {made[name]['index']}"
    report = json.loads((folder / "register.json").read_text())
    facts = [fact for section in report["sections"] for block in section["blocks"] for fact in block.get("facts", [])]
    figures = {fact["key"]: fact for fact in facts}
    # The law's steps were refused reads from abroad: the register has them, and names their entries.
    refused = figures["refused"]
    note = next(note for note in report["footnotes"] if note["number"] == refused["footnote"])
    entries = [index for first, last in note["entries"] for index in range(first, last + 1)]
    expect("entries behind the figure of refused attempts", refused["value"], len(entries))
    expect_that("there are refused attempts", refused["value"] > 0, refused)
    shown = demo.json("audit", "show", str(entries[0]))
    expect("the first entry behind it", ("denied", True), (shown["kind"], shown["decision"]["export"]))
    yield f"{refused['value']} attempts refused; entry {entries[0]} is the first behind that figure, and is such an attempt"
    titles = {"register-en.pdf": "Register of data exports", "register-zh.pdf": "数据出境登记册"}
    for name, title in titles.items():
        reader = PdfReader(folder / name)
        text = "".join("".join(page.extract_text() for page in reader.pages).split()).replace("\u200b", "")
        missing = [fact["shown"] for fact in facts if fact["shown"] not in text]
        expect(f"figures of the report that {name} lacks", [], missing)
        expect_that(f"{name} bears its title", title.replace(" ", "") in text, text[:200])
        xmp = reader.trailer["/Root"]["/Metadata"].get_object().get_data().decode()
        expect_that(f"{name} says that it is PDF/A", "<pdfaid:part>2<" in xmp and "<pdfaid:conformance>A<" in xmp, xmp)
    yield "both hold the same figures, and say of themselves that they are PDF/A-2a"
    pdf = folder / "register-zh.pdf"
    sealed = demo.json("report", "verify", str(pdf))
    expect("what the seal is of", ("export-register", made[pdf.name]["index"]), (sealed["report"], sealed["index"]))
    changed = folder / "changed.pdf"
    changed.write_bytes(pdf.read_bytes() + b"\n")
    seal = str(pdf) + ".tlog-proof"
    told = demo.domicile("report", "verify", str(changed), "--proof", seal, fails=True)
    expect_that("a changed file is found out", "was changed" in told, told)
    yield "the file is held against the proof of its entry; with one byte more it does not hold"
    told = demo.domicile("report", "gdpr-record", *period, "--out", str(changed), token="operator", fails=True)
    expect_that("an operator gets none", "403" in told, told)


STEPS = [the_register_of_exports_is_a_pdf_in_both_languages_and_the_log_seals_it]
