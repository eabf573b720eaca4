"""What holds when nodes are lost, asked by the wrong people, or lied about, and when the gateway dies."""

import base64
import hashlib
import http.client
import json
import shutil
import struct
import time
import urllib.parse

from clients import digest_of_stream, expect, expect_that, refusal

# Nodes allow for clocks that differ by so much, and refuse a ticket only after that.
SKEW_SECONDS = 30


def reads_succeed_with_as_many_nodes_down_as_the_code_has_parity(demo):
    found = demo.where("flights.parquet")
    parity = min(int(profile.split("+")[1]) for profile in found["profiles"])
    # Those that hold data shards of the first segment: without them the read has to rebuild.
    first = sorted((s for s in found["shards"] if s["segment"] == 0), key=lambda s: (s["part"], s["shard"]))
    lost = [demo.names[shard["node"]] for shard in first[:parity]]
    for name in lost:
        demo.process(name, "stop")
    try:
        for key in ["flights.parquet", "images.tar"]:
            body = demo.s3().get_object(Bucket=demo.bucket, Key=key)["Body"]
            expect(f"SHA-256 of {key} without {lost}", demo.notes["digests"][key], digest_of_stream(body))
            yield f"{key} read without {' and '.join(lost)}"
    finally:
        demo.restart(*lost)
    yield f"{' and '.join(lost)} are back"


def a_node_refuses_whoever_has_no_true_and_fitting_ticket_and_counts_it(demo):
    since = demo.log_size()
    demo.s3().get_object(Bucket=demo.bucket, Key="images.tar")["Body"].read()
    entry = demo.entries(since, "--kind", "intent", "--operation", "get-object", "--bucket", demo.bucket)[0]
    ticket = ticket_of(demo, entry["index"])
    demo.notes["old_ticket"] = ticket
    demo.notes["old_ticket_ends"] = entry["expires"]
    mine, other = demo.where("images.tar")["shards"], demo.where("flights.parquet")["shards"]
    shard = next(s for s in mine if any(o["node"] == s["node"] for o in other))
    node, cid = demo.names[shard["node"]], shard["cid"]
    demo.notes["old_shard"] = (node, cid)
    foreign = next(o["cid"] for o in other if o["node"] == shard["node"])

    yield refused(demo, node, cid, None, "no-ticket", "no ticket")
    yield refused(demo, node, cid, forged(ticket), "forged-ticket", "a ticket with a larger budget written in")
    yield refused(demo, node, foreign, ticket, "wrong-shard", "a true ticket, for a shard of another object")
    yield refused(demo, "tw-1", cid, ticket, "wrong-place", "a true ticket, at a node where the permit does not reach")
    yield refused(demo, node, cid, ticket, "not-the-gateway", "a true ticket, in another gateway's hands", "gateway-eu")
    served = 0
    while demo.ask(node, cid, ticket)["status"] in (200, 206):
        served += 1
        expect_that("a replayed ticket must run out", served < 100, served)
    how = f"the ticket of a read that is over, replayed ({served} more shards fitted its budget)"
    yield refused(demo, node, cid, ticket, "replayed-ticket", how)
    yield refused(demo, node, cid, ticket, "not-the-gateway", "a true ticket, in a stranger's hands", gateway=None)


def refused(demo, node, cid, ticket, code, how, gateway="gateway-cn"):
    """The node must refuse by `code`, hand out nothing, and count it; a sentence that says so."""
    before = demo.status(node)["refused"].get(code, 0)
    answer = demo.ask(node, cid, ticket, gateway)
    expect(f"{how}: refused by", code, (answer["refusal"] or {}).get("code"))
    expect(f"{how}: bytes handed out", 0, answer["bytes"])
    expect(f"{how}: counted", before + 1, demo.status(node)["refused"].get(code, 0))
    return f"{node}, {how}: {answer['status']} {code}: {answer['refusal']['message']}"


def ticket_of(demo, index):
    """The ticket of a logged intent, put together from what an officer may see: the entry's own bytes and its proof."""
    shown = demo.json("audit", "show", str(index))
    added = {"index", "leaf_hash", "opened", "inputs", "proof"}
    record = {name: value for name, value in shown.items() if name not in added}
    entry = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
    leaf = base64.b64encode(hashlib.sha256(b"\0" + entry).digest()).decode()
    expect("SHA-256 of the entry's bytes (RFC 6962 leaf)", shown["leaf_hash"], leaf)
    return f"{unpadded(entry)}.{unpadded(shown['proof'].encode())}"


def forged(ticket):
    entry, proof = ticket.split(".")
    record = json.loads(base64.urlsafe_b64decode(entry + "=" * (-len(entry) % 4)))
    record["budget"]["node_bytes_max"] *= 1000
    return f"{unpadded(json.dumps(record, separators=(',', ':')).encode())}.{proof}"


def unpadded(content):
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def audit_verify_passes_on_the_live_log_and_on_an_exported_copy(demo):
    yield demo.domicile("audit", "verify").strip()
    copies = demo.folder / "tour" / "copies"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir(parents=True)
    demo.notes["early"] = copies / "early"
    demo.domicile("audit", "export", str(copies / "early"))
    # Between the copies the nodes see more of the log.
    demo.s3().get_object(Bucket=demo.bucket, Key="images.tar")["Body"].read()
    demo.notes["copy"] = copies / "copy"
    demo.domicile("audit", "export", str(copies / "copy"))
    for copy in ["early", "copy"]:
        yield f"{copy}: {demo.domicile('audit', 'verify', str(demo.notes[copy])).strip()}"


def audit_verify_names_the_entry_of_which_one_byte_was_changed(demo):
    copy = tampered(demo, "one-byte")
    bundle, entries = first_bundle(copy)
    victim = len(entries) // 2
    entries[victim] = entries[victim][:-3] + bytes([entries[victim][-3] ^ 1]) + entries[victim][-2:]
    write_bundle(bundle, entries)
    yield fails_naming(demo, copy, f"entry {victim} was changed")


def audit_verify_names_the_entry_that_was_removed(demo):
    copy = tampered(demo, "one-entry")
    bundle, entries = first_bundle(copy)
    victim = len(entries) // 2
    del entries[victim]
    write_bundle(bundle, entries)
    yield fails_naming(demo, copy, f"entry {victim} was removed")


def audit_verify_names_the_node_that_saw_the_tail_which_was_cut_off(demo):
    """The gateway's strongest lie: an older state of its own log, sound in itself. Only the nodes know better."""
    copy = tampered(demo, "cut-tail", "early")
    shutil.copy(demo.notes["copy"] / "seen.json", copy / "seen.json")
    size = int((copy / "checkpoint").read_text().splitlines()[1])
    said = fails_naming(demo, copy, "the tail is cut off")
    expect_that("a node is named as witness", any(node in said for node in demo.names), said)
    yield f"cut to {size} entries: {said}"


def tampered(demo, name, source="copy"):
    copy = demo.folder / "tour" / "copies" / name
    shutil.copytree(demo.notes[source], copy)
    return copy


def first_bundle(copy):
    """The first bundle of entries (C2SP tlog-tiles): each a big-endian u16 length and so many bytes."""
    whole = copy / "tile/entries/000"
    bundle = whole if whole.is_file() else next((copy / "tile/entries/000.p").iterdir())
    content, entries = bundle.read_bytes(), []
    while content:
        (length,) = struct.unpack(">H", content[:2])
        entries.append(content[2 : 2 + length])
        content = content[2 + length :]
    return bundle, entries


def write_bundle(bundle, entries):
    bundle.write_bytes(b"".join(struct.pack(">H", len(entry)) + entry for entry in entries))


def fails_naming(demo, copy, place):
    said = " ".join(demo.domicile("audit", "verify", str(copy), fails=True).split())
    expect_that(f"verification names {place!r}", place in said, said)
    return said


def after_kill_9_in_mid_upload_what_was_acknowledged_is_there_and_nothing_else(demo):
    s3 = demo.s3()
    content = demo.files["images.tar"].read_bytes()
    part = content[: 5 << 20]
    upload = s3.create_multipart_upload(Bucket=demo.bucket, Key="resumed")["UploadId"]
    etag = s3.upload_part(Bucket=demo.bucket, Key="resumed", UploadId=upload, PartNumber=1, Body=part)["ETag"]
    s3.put_object(Bucket=demo.bucket, Key="acknowledged", Body=content)
    since = demo.log_size()
    connection, intent = begin_upload(demo, s3, "unfinished", since)
    yield f"an upload of 64 MiB is at 24 MiB, its intent is entry {intent['index']}"
    demo.process("gateway-cn", "kill")
    connection.close()
    demo.process("gateway-cn", "start")
    demo.control("healthy")
    yield "gateway-cn killed with SIGKILL and started again"

    s3 = demo.s3()
    for key, digest in [*demo.notes["digests"].items(), ("acknowledged", hashlib.sha256(content).hexdigest())]:
        expect(f"SHA-256 of {key}", digest, digest_of_stream(s3.get_object(Bucket=demo.bucket, Key=key)["Body"]))
    yield f"{len(demo.files) + 1} acknowledged objects read back byte for byte"
    status, code, _ = refusal(s3.get_object, Bucket=demo.bucket, Key="unfinished")
    expect("GET of the unfinished", (404, "NoSuchKey"), (status, code))
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=demo.bucket)["Contents"]]
    expect("what LIST shows", sorted([*demo.files, "acknowledged"]), listed)
    yield "the unfinished object is absent"
    closed = [e for e in demo.entries(since, "--kind", "outcome") if e["intent"] == intent["index"]]
    expect("how its intent was closed", ["assumed-whole"], [outcome["status"] for outcome in closed])
    started = demo.entries(since, "--kind", "started")
    expect_that("the start says what it closed", bool(started) and started[-1]["closed_intents"] >= 1, started)
    yield f"entry {closed[0]['index']} closes intent {intent['index']} as assumed-whole"
    rest = content[5 << 20 :]
    rest = s3.upload_part(Bucket=demo.bucket, Key="resumed", UploadId=upload, PartNumber=2, Body=rest)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}, {"PartNumber": 2, "ETag": rest}]}
    s3.complete_multipart_upload(Bucket=demo.bucket, Key="resumed", UploadId=upload, MultipartUpload=parts)
    body = s3.get_object(Bucket=demo.bucket, Key="resumed")["Body"].read()
    expect_that("the object of two parts is what was sent", body == content, f"{len(body)} bytes")
    yield "a multipart upload begun before went on after"
    yield demo.domicile("audit", "verify").strip()


def begin_upload(demo, s3, key, since):
    """Sends 24 of 64 MiB and holds the connection; returns when the log has the upload's intent."""
    url = urllib.parse.urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": demo.bucket, "Key": key}))
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.putheader("Content-Length", str(64 << 20))
    connection.endheaders()
    with open(demo.files["flights.parquet"], "rb") as file:
        for _ in range(24):
            connection.send(file.read(1 << 20))
    until = time.monotonic() + 60
    while time.monotonic() < until:
        closed = {entry["intent"] for entry in demo.entries(since, "--kind", "outcome")}
        intents = demo.entries(since, "--kind", "intent", "--operation", "put-object")
        still_open = [entry for entry in intents if entry["index"] not in closed]
        if still_open:
            return connection, still_open[-1]
        time.sleep(0.2)
    expect_that("the log has the intent of an upload under way", False, demo.entries(since))


def a_node_refuses_a_ticket_whose_time_is_over(demo):
    ends = demo.notes["old_ticket_ends"] / 1000 + SKEW_SECONDS
    wait = max(0, ends - time.time()) + 1
    yield f"waiting {wait:.0f} s for a ticket of this tour to end"
    time.sleep(wait)
    node, cid = demo.notes["old_shard"]
    yield refused(demo, node, cid, demo.notes["old_ticket"], "stale-ticket", "a stale ticket")


STEPS = [
    reads_succeed_with_as_many_nodes_down_as_the_code_has_parity,
    a_node_refuses_whoever_has_no_true_and_fitting_ticket_and_counts_it,
    audit_verify_passes_on_the_live_log_and_on_an_exported_copy,
    audit_verify_names_the_entry_of_which_one_byte_was_changed,
    audit_verify_names_the_entry_that_was_removed,
    audit_verify_names_the_node_that_saw_the_tail_which_was_cut_off,
    after_kill_9_in_mid_upload_what_was_acknowledged_is_there_and_nothing_else,
    a_node_refuses_a_ticket_whose_time_is_over,
]
