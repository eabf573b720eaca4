"""The registers: what an officer asks of the log, in the formats that others read."""

import csv
import datetime
import io
import json

import pyarrow.parquet

from clients import GERMANY, expect, expect_that, refusal

KEY = "register.bin"
# What the guideline on data export says of reading from abroad.
LIMB = 2


def a_register_shows_who_tried_to_take_what_where_and_is_handed_on_in_every_format(demo):
    s3 = demo.s3()
    s3.put_object(Bucket=demo.bucket, Key=KEY, Body=b"register" * 1000)
    status = refusal(demo.s3(source=GERMANY).get_object, Bucket=demo.bucket, Key=KEY)[0]
    expect("a read from Germany", 451, status)
    filters = ["--bucket", demo.bucket, "--key", KEY, "--verdict", "deny", "--to-place", "DE"]
    found = demo.json("register", "exports", *filters)["rows"]
    expect_that("the attempt is in the register", len(found) >= 1, found)
    row = found[-1]
    expect("operation and state", ["get-object", "attempt"], [row["operation"], row["state"]])
    expect_that("it falls under limb 2", LIMB in row["limbs"], row["limbs"])
    expect_that("names are pseudonyms", row["bucket"].startswith("bucket:") and not row["opened"], row["bucket"])
    yield f"log index {row['index']}: {row['operation']} to DE, {row['state']}, by {row['rules'][0]}, of {row['bucket']}"

    opened = demo.json("register", "exports", *filters, "--opened")["rows"][-1]
    expect("opened for an officer", [demo.bucket, KEY], [opened["bucket"], opened["key"]])
    view = demo.json("register", "views", "--operation", "registers/exports", "--order", "newest")["rows"][0]
    expect_that("the look is in the register of views", view["index"] > row["index"], view)
    yield f"opened for an officer, and that is log index {view['index']}: {view['detail']}"
    said = demo.domicile("register", "exports", *filters, "--opened", token="auditor", fails=True)
    yield f"an auditor sees pseudonyms alone: {said.strip().splitlines()[-1]}"

    files = {}
    for form in ["jsonl", "csv", "parquet", "ocsf", "cef"]:
        files[form] = demo.folder / f"register-{row['index']}.{form}"
        files[form].unlink(missing_ok=True)
        demo.domicile("register", "exports", *filters, "--format", form, "--out", str(files[form]))
    lines = [json.loads(line) for line in files["jsonl"].read_text().splitlines()]
    raw = files["csv"].read_bytes()
    expect("the byte order mark of the CSV", b"\xef\xbb\xbf", raw[:3])
    table = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    arrow = pyarrow.parquet.read_table(files["parquet"])
    expect("columns", list(lines[0]), list(table[0]))
    expect("columns of Parquet", list(lines[0]), arrow.column_names)
    for name in ["index", "leaf_hash", "operation", "verdict"]:
        # A hash may begin with a plus sign, which a spreadsheet must not take for a formula.
        cells = [each[name].removeprefix("'") for each in table]
        expect(f"{name} in CSV", [str(line[name]) for line in lines], cells)
        expect(f"{name} in Parquet", [line[name] for line in lines], arrow[name].to_pylist())
    moment = arrow["time"].to_pylist()[-1]
    expect_that("Parquet's time is one", isinstance(moment, datetime.datetime) and moment.tzinfo is not None, moment)
    event = json.loads(files["ocsf"].read_text().splitlines()[-1])
    expect("OCSF class and type", [6003, 600302], [event["class_uid"], event["type_uid"]])
    residency = event["residency"]
    expect("its residency", [True, ["DE"]], [residency["is_export"], residency["destination_jurisdictions"]])
    expect_that("CEF", files["cef"].read_text().startswith("CEF:0|Domicile|gateway|"), files["cef"].read_text()[:80])
    yield f"{len(lines)} rows alike in JSON lines, CSV and Parquet (read by pyarrow); OCSF 6003 and CEF beside them"

    for words, hint in [
        (["--from", "yesterday"], "is not a time"),
        (["--from", "2026-05-04", "--to", "2026-05-03"], "is not before"),
        (["--to-place", "Atlantis"], "to-place"),
        (["--cursor", "AAAA"], "cursor"),
    ]:
        said = demo.domicile("register", "exports", *words, fails=True)
        expect_that(f"{words} is refused", hint in said and "400" in said, said)
    yield "a time, a place and a cursor that are none are refused with what to do"


def where_an_object_was_can_be_told_when_it_is_gone(demo):
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    places = {shard["place"] for shard in demo.where(KEY)["shards"]}
    demo.s3().delete_object(Bucket=demo.bucket, Key=KEY)
    found = demo.json("register", "placements", f"s3://{demo.bucket}/{KEY}", "--on", today)
    expect_that("the places of then are among those told", places <= set(found["places"]), found["places"])
    holders = found["bodies"][-1]["holders"]
    before = demo.json("register", "placements", f"s3://{demo.bucket}/{KEY}", "--on", "2020-01-01")
    expect("long before", [], before["places"])
    yield f"deleted, and {today} still shows {', '.join(found['places'])} on {len(holders)} nodes; 2020-01-01 shows nothing"


STEPS = [
    a_register_shows_who_tried_to_take_what_where_and_is_handed_on_in_every_format,
    where_an_object_was_can_be_told_when_it_is_gone,
]
