"""What copies share with their source, and what is left of what was given up."""

import os
import time

from clients import digest_of_stream, expect, expect_that

PART_BYTES = 5 << 20
# How long the sweeper may take to come round, beside the time that deleted bytes stay for readers under way.
PATIENCE_SECONDS = 60


def a_copy_shares_the_shards_of_its_source_and_outlives_it(demo):
    s3 = demo.s3()
    original, copy = "copies/original", "copies/copy"
    with open(demo.files["flights.parquet"], "rb") as body:
        s3.put_object(Bucket=demo.bucket, Key=original, Body=body, Metadata={"from": "the tour"})
    stored = stored_by(demo)
    s3.copy_object(Bucket=demo.bucket, Key=copy, CopySource={"Bucket": demo.bucket, "Key": original})
    expect("shards that nodes stored for the copy", 0, stored_by(demo) - stored)
    expect("where the copy's shards are", shards(demo, original), shards(demo, copy))
    yield f"{len(shards(demo, copy))} shards of the copy are those of its source; no node stored any"
    s3.delete_object(Bucket=demo.bucket, Key=original)
    read = s3.get_object(Bucket=demo.bucket, Key=copy)
    expect("its SHA-256", demo.notes["digests"]["flights.parquet"], digest_of_stream(read["Body"]))
    expect("its metadata", {"from": "the tour"}, read["Metadata"])
    yield "the source is deleted; the copy is read back byte for byte"
    s3.delete_object(Bucket=demo.bucket, Key=copy)


def an_upload_that_is_given_up_leaves_no_shard_behind(demo):
    s3 = demo.s3()
    before = held_by(demo)
    upload = s3.create_multipart_upload(Bucket=demo.bucket, Key="given-up")["UploadId"]
    for number in (1, 2):
        s3.upload_part(
            Bucket=demo.bucket, Key="given-up", UploadId=upload, PartNumber=number, Body=os.urandom(PART_BYTES)
        )
    expect_that("shards of its parts", held_by(demo) > before, held_by(demo))
    s3.abort_multipart_upload(Bucket=demo.bucket, Key="given-up", UploadId=upload)
    until = time.monotonic() + PATIENCE_SECONDS
    while held_by(demo) > before and time.monotonic() < until:
        time.sleep(1)
    expect_that(f"at most the {before} shards of before", held_by(demo) <= before, held_by(demo))
    yield f"{before} shards before, {held_by(demo)} after the sweep"


def shards(demo, key):
    return [(s["segment"], s["shard"], s["cid"], s["node"]) for s in demo.where(key)["shards"]]


def stored_by(demo):
    """Shards that the nodes ever stored."""
    return sum(demo.status(name)["stored"]["requests"] for name in demo.nodes)


def held_by(demo):
    """Shards that the nodes hold now."""
    return sum(demo.status(name)["shards"] for name in demo.nodes)


STEPS = [a_copy_shares_the_shards_of_its_source_and_outlives_it, an_upload_that_is_given_up_leaves_no_shard_behind]
