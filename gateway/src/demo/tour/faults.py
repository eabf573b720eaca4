"""What holds when disks lie, when they are full, and when the maps are old."""

import base64
import calendar
import contextlib
import pathlib
import re
import struct
import time

from clients import Mismatch, digest_of_stream, expect, expect_that, refusal

# A record of a segment file (storage-node/src/store/FORMAT.md): where its fields stand, and what they say of what follows.
RECORD = b"DREC"
CID_AT = 24
LENGTH_AT = 136
TABLE_AT = 152
STORED = 1
# Room beyond what they hold, for one node and for the others. A segment of 4 MiB puts 1 MiB on six of eight nodes, so that the
# large table's 38 segments put more on any of them than the one has room for, and less than the others have.
TIGHT_BYTES = 3 << 20
AMPLE_BYTES = 96 << 20


def a_shard_that_its_disk_corrupted_is_noticed_reported_and_read_from_others(demo):
    shard = next(s for s in demo.where("flights.arrow")["shards"] if s["segment"] == 1 and s["shard"] == 0)
    name = demo.names[shard["node"]]
    demo.process(name, "stop")
    try:
        file, offset = corrupt(pathlib.Path(demo.nodes[name]["data_dir"]) / "segments", shard["cid"])
    finally:
        demo.restart(name)
    yield f"{name} stopped, one byte of shard {shard['shard']} changed in {file.name} at {offset}, started again"
    since = demo.log_size()
    body = demo.s3().get_object(Bucket=demo.bucket, Key="flights.arrow")["Body"]
    expect("SHA-256 of flights.arrow", demo.notes["digests"]["flights.arrow"], digest_of_stream(body))
    yield "flights.arrow read back byte for byte"
    told = [entry["what"] for entry in demo.entries(since, "--kind", "incident")]
    expect("incidents", {"corrupt-shard"}, set(told))
    found = [entry for entry in demo.entries(since, "--kind", "incident") if entry["node"] == shard["node"]]
    expect("shards that they name", {shard["cid"]}, {entry["shard"] for entry in found})
    yield f"entry {found[0]['index']} of the log: {found[0]['what']} at {name}"
    until = time.monotonic() + 60
    while any((s["node"], s["cid"]) == (shard["node"], shard["cid"]) for s in demo.where("flights.arrow")["shards"]):
        expect_that("the shard is made anew elsewhere within a minute", time.monotonic() < until, shard)
        time.sleep(0.5)
    while demo.status(name)["corrupt_shards"]:
        expect_that("the damaged copy is deleted within a minute", time.monotonic() < until, demo.status(name))
        time.sleep(0.5)
    yield f"the shard was rebuilt on another node, and {name} has deleted what was left of it"


def corrupt(segments, cid):
    """Changes one byte in the middle of a shard's payload; in which file and where."""
    # CIDv1, raw, BLAKE3-256 as multibase base32: four bytes of prefix, then the digest.
    text = cid[1:].upper()
    digest = base64.b32decode(text + "=" * (-len(text) % 8))[4:]
    for file in sorted(segments.glob("*.seg")):
        content = file.read_bytes()
        for match in re.finditer(re.escape(digest), content):
            record = match.start() - CID_AT
            if record < 0 or content[record : record + 5] != RECORD + bytes([STORED]):
                continue
            length, groups = struct.unpack_from("<II", content, record + LENGTH_AT)
            victim = record + TABLE_AT + 4 * groups + length // 2
            with open(file, "r+b") as disk:
                disk.seek(victim)
                disk.write(bytes([content[victim] ^ 0x40]))
            return file, victim
    raise Mismatch(f"no file of {segments} holds the shard {cid}")


def full_nodes_are_passed_over_and_too_few_with_room_are_503_with_nothing_stored(demo):
    nodes = sorted(name for name, node in demo.nodes.items() if node["place"] == "CN")
    tight = nodes[0]
    s3 = demo.s3()
    with shrunk(demo, {name: TIGHT_BYTES if name == tight else AMPLE_BYTES for name in nodes}):
        # It runs full in the middle of the object: it says so before the next shard, or refuses that.
        refused = demo.status(tight)["refused"].get("full", 0)
        with open(demo.files["flights.parquet"], "rb") as body:
            s3.put_object(Bucket=demo.bucket, Key="past-the-full", Body=body)
        refused = demo.status(tight)["refused"].get("full", 0) - refused
        took = [s for s in demo.where("past-the-full")["shards"] if demo.names[s["node"]] == tight]
        expect_that(f"shards on {tight}, which had room for fewer than four", len(took) < 4, len(took))
        body = s3.get_object(Bucket=demo.bucket, Key="past-the-full")["Body"]
        expect("its SHA-256", demo.notes["digests"]["flights.parquet"], digest_of_stream(body))
        yield f"{tight} with room for {TIGHT_BYTES >> 20} MiB: took {len(took)} shards, refused {refused}; others took those"
    with shrunk(demo, dict.fromkeys(nodes[:3], 0)):
        before = keys(demo)
        content = demo.files["images.tar"].read_bytes()
        status, code, message = refusal(s3.put_object, Bucket=demo.bucket, Key="no-room", Body=content)
        expect("PUT with five of eight nodes left", (503, "ServiceUnavailable"), (status, code))
        expect("GET of what was refused", 404, refusal(s3.get_object, Bucket=demo.bucket, Key="no-room")[0])
        expect("what LIST shows", before, keys(demo))
        yield f"{', '.join(nodes[:3])} full: {status} {code}: {message}"
    s3.put_object(Bucket=demo.bucket, Key="no-room", Body=content)
    s3.delete_objects(Bucket=demo.bucket, Delete={"Objects": [{"Key": "no-room"}, {"Key": "past-the-full"}]})
    yield "with room again it is stored"


def keys(demo):
    return sorted(entry["Key"] for entry in demo.s3().list_objects_v2(Bucket=demo.bucket)["Contents"])


@contextlib.contextmanager
def shrunk(demo, rooms):
    """Nodes by name, each with so many bytes of room beyond what it holds."""
    names = list(rooms)
    configured = {name: pathlib.Path(demo.nodes[name]["config_file"]) for name in names}
    written = {name: file.read_text() for name, file in configured.items()}
    try:
        for name in names:
            capacity = demo.status(name)["used_bytes"] + rooms[name]
            demo.process(name, "stop")
            text, count = re.subn(r"(?m)^capacity_bytes = .*$", f"capacity_bytes = {capacity}", written[name])
            expect(f"capacities in the configuration of {name}", 1, count)
            configured[name].write_text(text)
        demo.restart(*names)
        yield
    finally:
        for name in names:
            configured[name].write_text(written[name])
            demo.process(name, "stop")
        demo.restart(*names)


def an_old_location_database_is_warned_of_in_every_decision(demo):
    file = demo.folder / "geo" / "dbip-country.mmdb"
    whole = file.read_bytes()
    # MMDB: the build time is an unsigned 64-bit number of the metadata, whose control bytes are its length and 2.
    at = whole.index(b"build_epoch", whole.rindex(b"\xab\xcd\xefMaxMind.com")) + len(b"build_epoch")
    length = whole[at]
    expect("the type that stands there", 2, whole[at + 1])
    old = calendar.timegm((2020, 1, 1, 0, 0, 0)).to_bytes(length, "big")
    restart_gateway(demo, lambda: file.write_bytes(whole[: at + 2] + old + whole[at + 2 + length :]))
    try:
        since = demo.log_size()
        demo.s3().head_object(Bucket=demo.bucket, Key="images.tar")
        demo.s3().list_objects_v2(Bucket=demo.bucket)
        decided = demo.entries(since, "--kind", "intent")
        expect("operations decided", ["head-object", "list-objects"], [entry["operation"] for entry in decided])
        for entry in decided:
            told = [text for text in entry["decision"]["warnings"] if text.startswith("dbip-country.mmdb was built")]
            expect_that(f"warnings of entry {entry['index']}", len(told) == 1, entry["decision"]["warnings"])
        yield f"entries {decided[0]['index']} and {decided[1]['index']}: {told[0]}"
    finally:
        restart_gateway(demo, lambda: file.write_bytes(whole))


def restart_gateway(demo, meanwhile):
    demo.process("gateway-cn", "stop")
    meanwhile()
    demo.process("gateway-cn", "start")
    demo.control("healthy")


STEPS = [
    a_shard_that_its_disk_corrupted_is_noticed_reported_and_read_from_others,
    full_nodes_are_passed_over_and_too_few_with_room_are_503_with_nothing_stored,
    an_old_location_database_is_warned_of_in_every_decision,
]
