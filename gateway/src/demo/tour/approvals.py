"""What may leave under an approval: asked for by one person, approved by another, charged, used up, revoked."""

import hashlib

import botocore.exceptions
import urllib3.exceptions
from clients import GERMANY, expect, expect_that, mebibytes, refusal

DENIED = 451
# The quota takes one whole read and a third of the next.
OBJECT_BYTES = 9 << 20
QUOTA_BYTES = 12 << 20
KEY = "set/flights.bin"


def request(demo, quota_bytes):
    """A request in the form that `domicile approval form` prints."""
    return f"""
tenant = "a"
bucket = "{demo.bucket}-leaves"
prefix = "set/"
purpose = "training of a model of delays"
necessity = "the recipient trains on its own cluster in Munich"
pack = "cn-data-export"
mechanism = "standard-contract"
instrument = "standard contract, filed with the CAC of Beijing"
authority_number = "JD-2026-0042"
assessment = "PIA-2026-7"
expires = "2099-01-01"
operations = ["retrieve", "query"]
actors = [{{ access-key = "{demo.keys("a")[0]}" }}]
[quota]
subjects = 60
bytes = {quota_bytes}
[recipient]
contact = "Data protection, Acme GmbH, Munich"
places = ["DE"]
[recipient.party]
id = "acme"
name = "Acme GmbH"
incorporated = "DE"
headquartered = "DE"
"""


def ask(demo, quota_bytes):
    form = demo.folder / "approval.toml"
    form.write_text(request(demo, quota_bytes))
    return demo.json("approval", "request", str(form), token="officer")


def body_of(demo):
    return bytes(range(256)) * (OBJECT_BYTES // 256)


def abroad(demo):
    return demo.s3(source=GERMANY)


def read_abroad(demo, **more):
    return refusal(abroad(demo).get_object, Bucket=f"{demo.bucket}-leaves", Key=KEY, **more)


def who_asks_for_an_approval_cannot_give_it(demo):
    bucket, s3 = f"{demo.bucket}-leaves", demo.s3()
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "cn"})
    tags = "domicile:class=personal&domicile:subjects=50&domicile:sensitive=5"
    s3.put_object(Bucket=bucket, Key=KEY, Body=body_of(demo), Tagging=tags)
    status, _, message = read_abroad(demo)
    expect("GET from DE before anybody asked", DENIED, status)
    expect_that("the message names the route", "contract-or-certification-required" in message, message)
    asked = ask(demo, QUOTA_BYTES)
    demo.notes["approval"] = asked["id"]
    expect("its state and maker", ("requested", "officer"), (asked["state"], asked["maker"]))
    yield f"the officer asks: approval {asked['id']}, {mebibytes(QUOTA_BYTES)} to {asked['terms']['recipient']['party']['name']}"
    since = demo.log_size()
    said = demo.domicile("approval", "approve", asked["id"], token="officer", fails=True)
    expect_that("the officer is told who may", "approver" in said, said)
    expect_that("the attempt is in the log", len(demo.entries(since, "--kind", "denied")) == 1, said)
    yield f"the officer's own approval is refused: {said.strip().splitlines()[-1]}"
    said = demo.domicile("approval", "approve", asked["id"], token="admin", fails=True)
    yield f"so is an admin's: {said.strip().splitlines()[-1]}"
    form = demo.folder / "approval.toml"
    for old, new in [(f"bytes = {QUOTA_BYTES}", "bytes = 0"), ("2099", "2020"), ('places = ["DE"]', 'places = ["unknown"]')]:
        form.write_text(request(demo, QUOTA_BYTES).replace(old, new))
        said = demo.domicile("approval", "request", str(form), token="officer", fails=True)
        yield f"{new}: {said.strip().splitlines()[-1]}"


def another_person_approves_and_a_read_from_germany_succeeds_and_is_charged(demo):
    approval = demo.notes["approval"]
    approved = demo.json("approval", "approve", approval, "--reason", "contract seen", token="approver")
    expect("state and checker", ("active", "approver"), (approved["state"], approved["checker"]))
    since = demo.log_size()
    body = abroad(demo).get_object(Bucket=f"{demo.bucket}-leaves", Key=KEY)["Body"].read()
    expect("SHA-256 read from DE", hashlib.sha256(body_of(demo)).hexdigest(), hashlib.sha256(body).hexdigest())
    entries = demo.entries(since, "--exports", "--kind", "intent", "--operation", "get-object")
    expect("entries of the export", 1, len(entries))
    entry, charge = entries[0], entries[0]["charge"]
    expect("the approval that it stands on", [approval], charge["approvals"])
    expect("what is charged", {"subjects": 50, "sensitive": 5, "bytes": OBJECT_BYTES}, charge["counts"])
    rule = next(rule for rule in entry["decision"]["rules"] if rule.get("limb") == 2)
    yield f"entry {entry['index']}: export by {rule['pack']}/{rule['rule']}, charged {charge['counts']}"
    total = next(total for total in charge["totals"] if total["ledger"] == "year")
    yield f"the year's total: {total['before']['subjects']} individuals before, {total['after']['subjects']} after, by {total['method']}"
    shown = demo.json("approval", "show", approval, token="auditor")
    expect("what an auditor sees used", (50, OBJECT_BYTES), (shown["used"]["subjects"], shown["used"]["bytes"]))


def the_quota_ends_in_mid_stream_and_with_it_the_read(demo):
    approval, since, arrived = demo.notes["approval"], demo.log_size(), b""
    stream = abroad(demo).get_object(Bucket=f"{demo.bucket}-leaves", Key=KEY)["Body"]
    try:
        while piece := stream.read(64 << 10):
            arrived += piece
        broke = "it ended as if whole"
    except (botocore.exceptions.BotoCoreError, urllib3.exceptions.HTTPError) as error:
        broke = type(error).__name__
    left = QUOTA_BYTES - OBJECT_BYTES
    expect_that(f"the body is cut off by {left} bytes", broke != "it ended as if whole" and len(arrived) <= left, broke)
    expect_that("what arrived is the object's beginning", body_of(demo).startswith(arrived), len(arrived))
    intents = demo.entries(since, "--exports", "--kind", "intent", "--operation", "get-object")
    expect("the range that was let go", [[0, left]], [entry["range"] for entry in intents])
    denied = demo.entries(since, "--exports", "--kind", "denied")
    warnings = [warning for entry in denied for warning in entry["decision"].get("warnings", [])]
    expect_that("the log says why it ended", any("used up" in warning for warning in warnings), warnings)
    yield f"{left:,} bytes were left and let go, then {broke}; the log: {warnings[0]}"
    shown = demo.json("approval", "show", approval, token="auditor")
    expect("state, and bytes used", ("consumed", QUOTA_BYTES), (shown["state"], shown["used"]["bytes"]))
    status, _, message = read_abroad(demo)
    expect("the next GET from DE", DENIED, status)
    yield message


def a_revoked_approval_opens_nothing_any_more(demo):
    form = ["--expires", "2099-06-01", "--bytes", str(2 * OBJECT_BYTES), "--subjects", "60"]
    renewal = demo.json("approval", "renew", demo.notes["approval"], *form, token="officer")
    demo.json("approval", "approve", renewal["id"], token="approver-2")
    expect("a range read from DE under the renewal", 200, read_abroad(demo, Range="bytes=0-99")[0])
    shown = demo.json("approval", "show", renewal["id"])
    expect("bytes used of it", 100, shown["used"]["bytes"])
    revoked = demo.json("approval", "revoke", renewal["id"], "--reason", "the contract ended", token="approver")
    expect("its state", "revoked", revoked["state"])
    status, _, message = read_abroad(demo, Range="bytes=0-99")
    expect("GET from DE after the revocation", DENIED, status)
    expect_that("the message says so", "is revoked" in message, message)
    yield message
    yield demo.domicile("ledger", token="auditor").splitlines()[1]


STEPS = [
    who_asks_for_an_approval_cannot_give_it,
    another_person_approves_and_a_read_from_germany_succeeds_and_is_charged,
    the_quota_ends_in_mid_stream_and_with_it_the_read,
    a_revoked_approval_opens_nothing_any_more,
]
