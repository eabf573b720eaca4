"""What ends by itself, and what must not end: lifecycle rules and object lock."""

import datetime
import time

from clients import expect, expect_that, refusal

# Rules are looked at every few seconds in the demo.
PATIENCE_SECONDS = 60


def what_a_rule_says_is_due_ends_decided_and_logged_and_what_is_locked_stays(demo):
    s3, bucket = demo.s3(), f"{demo.bucket}-ends"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    for key in ["keep/this", "tmp/held", "tmp/old"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"flight log")
    s3.put_object_legal_hold(Bucket=bucket, Key="tmp/held", LegalHold={"Status": "ON"})
    past, markers = {"Date": datetime.datetime(2020, 1, 1)}, {"ExpiredObjectDeleteMarker": True}
    rules = [
        {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": past},
        {"ID": "litter", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": markers},
    ]
    since = demo.log_size()
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    listed = until(["keep/this"], lambda: [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]])
    expect("objects that are left", ["keep/this"], listed)
    yield "both objects below tmp/ have expired: a delete marker covers each"
    entries = demo.entries(since, "--kind", "intent", "--operation", "delete-object", "--bucket", bucket)
    expect_that("entries of the log that say so", len(entries) >= 1, len(entries))
    yield f"entry {entries[0]['index']} of the log says who decided it, before it was done"

    old, held = (version(s3, bucket, key) for key in ["tmp/old", "tmp/held"])
    status, code, _ = refusal(s3.delete_object, Bucket=bucket, Key="tmp/held", VersionId=held)
    expect("deleting the version that is held", (403, "AccessDenied"), (status, code))
    s3.delete_object(Bucket=bucket, Key="tmp/old", VersionId=old)
    left = until(["tmp/held"], lambda: [each["Key"] for each in versions(s3, bucket).get("DeleteMarkers", [])])
    expect("markers that are left", ["tmp/held"], left)
    yield "the version under a legal hold stays; the marker that hid nothing any more is gone"


def a_version_under_compliance_is_kept_from_everybody(demo):
    s3, bucket, key = demo.s3(), f"{demo.bucket}-ends", "keep/record"
    until_date = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(seconds=15)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until_date}
    kept = s3.put_object(Bucket=bucket, Key=key, Body=b"record of a transfer", **lock)["VersionId"]
    bypass = {"Bucket": bucket, "Key": key, "VersionId": kept, "BypassGovernanceRetention": True}
    expect("deleting it", 403, refusal(s3.delete_object, **bypass)[0])
    sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": until_date - datetime.timedelta(seconds=5)}
    expect("shortening it", 403, refusal(s3.put_object_retention, Retention=sooner, **bypass)[0])
    weaker = {"Mode": "GOVERNANCE", "RetainUntilDate": until_date + datetime.timedelta(days=1)}
    expect("weakening it", 403, refusal(s3.put_object_retention, Retention=weaker, **bypass)[0])
    yield "neither deletion nor a shorter or weaker retention is let through, bypass or not"
    s3.delete_object(Bucket=bucket, Key=key)
    body = s3.get_object(Bucket=bucket, Key=key, VersionId=kept)["Body"].read()
    expect("its bytes below a delete marker", b"record of a transfer", body)
    gone = until(200, lambda: refusal(s3.delete_object, **bypass)[0])
    expect("deleting it once its time is over", 200, gone)
    yield "it can be deleted once its time is over"


def version(s3, bucket, key):
    """The id of the only object version of a key."""
    found = [each["VersionId"] for each in versions(s3, bucket)["Versions"] if each["Key"] == key]
    expect(f"versions of {key}", 1, len(found))
    return found[0]


def versions(s3, bucket):
    return s3.list_object_versions(Bucket=bucket)


def until(wanted, look):
    """What `look` sees in the end: what is wanted, or what is there when patience ends."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        seen = look()
        if seen == wanted or time.monotonic() > end:
            return seen
        time.sleep(0.5)


STEPS = [
    what_a_rule_says_is_due_ends_decided_and_logged_and_what_is_locked_stays,
    a_version_under_compliance_is_kept_from_everybody,
]
