"""What becomes of the shards of nodes that leave, die, or move: copied or rebuilt at home, old copies deleted with receipts."""

import contextlib
import pathlib
import re
import shutil
import time

from clients import Mismatch, digest_of_stream, expect, expect_that
from faults import restart_gateway

# A node is lost after so many seconds of silence in these steps; offline, in the demo, after 40.
LOST_SECONDS = 45
PATIENCE_SECONDS = 240
# The demo puts 127.10.0.0/16 in China and 127.20.0.0/16 in Hong Kong, with one node of each place at the third byte's 1.
HOME = r"127\.10\.(\d+)\."


def a_node_that_leaves_in_good_order_is_emptied_and_says_so(demo):
    name, key = busiest(demo), "flights.arrow"
    node = demo.nodes[name]["id"]
    before = demo.status(name)["shards"]
    since = demo.log_size()
    done = demo.json("fleet", "drain", node, "--wait")
    expect("pages and copies that are left", (0, 0), (done["pages"], done["to_delete"]))
    statement = done["statement"]
    expect("shards that the node holds by its own account", 0, statement["shards"])
    expect("shards of the object on it", [], on_node(demo, key, node))
    expect(f"SHA-256 of {key}", demo.notes["digests"][key], digest(demo, key))
    yield f"{name} drained: {before} shards before, none now; {key} reads back byte for byte"
    changes = [(entry["what"], entry["index"]) for entry in fleet(demo, since, node)]
    expect_that("what the log says of it", {"draining", "left"} <= {what for what, _ in changes}, changes)
    moved = demo.entries(since, "--kind", "intent", "--operation", "repair")
    expect_that("repairs that the log has", len(moved) > 0, len(moved))
    yield f"{len(moved)} repairs decided and logged; entry {changes[-1][1]} says that it left, with the hash of its statement"
    demo.domicile("fleet", "undrain", node)
    demo.control("healthy")


def a_node_that_is_killed_for_good_is_lost_and_its_shards_are_rebuilt_elsewhere(demo):
    name, key = busiest(demo), "flights.arrow"
    node = demo.nodes[name]["id"]
    with patience(demo, LOST_SECONDS):
        held = len(on_node(demo, key, node))
        expect_that(f"shards of {key} on {name}", held > 0, held)
        before = demo.json("repairs")
        demo.process(name, "kill")
        begun = time.monotonic()
        until(lambda: not on_node(demo, key, node), f"{key} has shards on {name}")
        seconds = time.monotonic() - begun
        expect(f"SHA-256 of {key}", demo.notes["digests"][key], digest(demo, key))
        after = demo.json("repairs")
        stored, fetched = (after[what] - before[what] for what in ["stored_bytes", "fetched_bytes"])
        yield f"{name} killed; {seconds:.0f} s later none of {held} shards of {key} is counted on there, and it reads back whole"
        yield f"{fetched / stored:.1f} bytes fetched for each byte that was rebuilt"
        residue = dict(map(tuple, after["residue"])).get(node, 0)
        expect_that("copies that may still lie on it", residue >= held, residue)
        demo.process(name, "start")
        until(lambda: node not in dict(map(tuple, demo.json("repairs")["residue"])), f"{name} is to delete copies")
        yield f"{residue} copies on it were residue until it came back; it has deleted them, with receipts"
    demo.control("healthy")


def what_was_deleted_is_certified_with_the_receipts_of_its_nodes(demo):
    s3, key = demo.s3(), "to-be-certified"
    s3.put_object(Bucket=demo.bucket, Key=key, Body=b"flight log" * 100_000)
    shards = demo.where(key)["shards"]
    s3.delete_object(Bucket=demo.bucket, Key=key)
    certificate = until(lambda: stated(demo, key), f"the deletion of {key} is not stated")
    expect("shards that may still lie somewhere", 0, certificate["residue"])
    expect("receipts, one per shard", len(shards), len(certificate["receipts"]))
    entry = demo.json("audit", "show", str(certificate["stated"][-1]))
    told = entry.get("record", entry)
    yield f"{len(shards)} receipts; entry {certificate['stated'][-1]} of the log has their hash"
    text = str(told)
    expect_that("the hash in the log", certificate["receipts_hash"] in text, text)


def a_node_that_moves_abroad_is_fenced_and_its_shards_are_re_created_at_home(demo):
    name, key = busiest(demo), "flights.arrow"
    node = demo.nodes[name]["id"]
    held = len(on_node(demo, key, node))
    before = demo.status(name)["shards"]
    since = demo.log_size()
    file = pathlib.Path(demo.nodes[name]["config_file"])
    text = file.read_text()
    at_home = re.sub(r'(?m)^place = "CN"', 'place = "HK"', text)
    moved, count = re.subn(HOME, lambda address: f"127.20.{int(address[1]) + 100}.", at_home)
    expect_that("addresses in its configuration", count > 0, count)
    demo.process(name, "stop")
    file.write_text(moved)
    demo.process(name, "start")
    begun = time.monotonic()
    until(lambda: state(demo, node) == "quarantined", f"{name} is not quarantined")
    yield f"{name} started in Hong Kong with {held} shards of {key}: quarantined within {time.monotonic() - begun:.1f} s"
    until(lambda: not on_node(demo, key, node), f"{key} has shards on {name}")
    places = {shard["place"] for shard in demo.where(key)["shards"]}
    expect("places of its shards", {"CN"}, places)
    expect(f"SHA-256 of {key}", demo.notes["digests"][key], digest(demo, key))
    yield f"{time.monotonic() - begun:.0f} s after it moved all shards of {key} are in CN, and it reads back whole"
    until(lambda: is_empty(demo.json("fleet", "drained", node)), f"{name} has something left")
    yield f"its {before} shards are deleted, each with its receipt, by tickets that name where it is now"
    changes = {entry["what"] for entry in fleet(demo, since, node)}
    expect_that("what the log says of it", "quarantined" in changes, changes)


def a_new_version_of_a_pack_evacuates_a_place(demo):
    s3, bucket, body = demo.s3("eu"), f"{demo.bucket}-evacuated", b"flight log" * 2_000
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu"})
    # Small objects are kept in three whole copies, so that five places have room for what leaves the sixth.
    keys = [f"log-{number}" for number in range(12)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    irish = sum(shard["place"] == "IE" for key in keys for shard in demo.where(key, bucket, "eu")["shards"])
    expect_that("copies in Ireland", irish > 0, irish)
    published = demo.folder / "policies" / "eu-gdpr"
    stricter = demo.folder / "stricter" / "eu-gdpr"
    shutil.copytree(published, stricter, dirs_exist_ok=True)
    for file, more in WITHOUT_IRELAND.items():
        (stricter / file).write_text((published / file).read_text() + more)
    since = demo.log_size("eu")
    agreed(demo, stricter, "eu")
    try:
        places = lambda: {shard["place"] for key in keys for shard in demo.where(key, bucket, "eu")["shards"]}
        until(lambda: "IE" not in places(), "there are copies in Ireland")
        for key in keys:
            expect(f"the bytes of {key}", body, s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        moved = len(demo.entries(since, "--kind", "intent", "--operation", "repair", gateway="eu"))
        yield f"{irish} copies in Ireland before, none after, by {moved} repairs, each decided and logged; all read back whole"
    finally:
        agreed(demo, published, "eu")


def agreed(demo, folder, gateway):
    """Has a version of a pack proposed by one person and agreed to by another."""
    proposal = demo.json("policy", "propose", str(folder), gateway=gateway)["proposal"]
    decided = demo.json("policy", "agree", proposal["id"], gateway=gateway, token="approver")
    expect("what became of the proposal", "in-force", decided["state"])


WITHOUT_IRELAND = {
    "pack.toml": """
[groups.ireland]
members = [{ places = ["IE"] }]
""",
    "rules.cedar": """
@id("no-ireland")
@cite("a rule of the tour")
forbid (principal is Node, action in [Action::"Store", Action::"Repair"], resource)
when { context.place.within.ireland };
""",
    "cases.toml": """
[[case]]
name = "nothing may be repaired to Ireland"
subject = "node"
action = "Repair"
places = ["IE"]
expect = "deny"
rules = ["no-ireland"]
""",
}


def is_empty(view):
    return view["pages"] == 0 and view["to_delete"] == 0


def stated(demo, key):
    certificates = demo.json("deletion", f"s3://{demo.bucket}/{key}")
    return certificates[0] if certificates[0]["stated"] else None


def busiest(demo):
    """The node in China that holds the most shards of the object that the steps read; the one that the last step asks stays."""
    counts = {}
    for shard in demo.where("flights.arrow")["shards"]:
        name = demo.names[shard["node"]]
        counts[name] = counts.get(name, 0) + 1
    counts.pop(demo.notes.get("old_shard", (None,))[0], None)
    return max(counts, key=counts.get)


def on_node(demo, key, node):
    return [shard for shard in demo.where(key)["shards"] if shard["node"] == node]


def digest(demo, key):
    return digest_of_stream(demo.s3().get_object(Bucket=demo.bucket, Key=key)["Body"])


def state(demo, node):
    return next(each["state"] for each in demo.json("nodes") if each["node"] == node)


def fleet(demo, since, node):
    return [entry for entry in demo.entries(since, "--kind", "fleet") if entry.get("node") == node]


def until(holds, complaint):
    """Waits until `holds` gives something true, and returns it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise Mismatch(f"after {PATIENCE_SECONDS} s {complaint}")
        time.sleep(0.5)


@contextlib.contextmanager
def patience(demo, lost_seconds):
    """The gateway takes silent nodes for lost sooner."""
    file = pathlib.Path(demo.gateways["gateway-cn"]["config_file"])
    text = file.read_text()
    impatient, count = re.subn(r"(?m)^lost_after_seconds = .*$", f"lost_after_seconds = {lost_seconds}", text)
    expect("settings of patience", 1, count)
    restart_gateway(demo, lambda: file.write_text(impatient))
    try:
        yield
    finally:
        restart_gateway(demo, lambda: file.write_text(text))


STEPS = [
    a_node_that_leaves_in_good_order_is_emptied_and_says_so,
    a_node_that_is_killed_for_good_is_lost_and_its_shards_are_rebuilt_elsewhere,
    what_was_deleted_is_certified_with_the_receipts_of_its_nodes,
    a_new_version_of_a_pack_evacuates_a_place,
    a_node_that_moves_abroad_is_fenced_and_its_shards_are_re_created_at_home,
]
