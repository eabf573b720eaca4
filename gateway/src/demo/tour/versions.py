"""Versions: what is overwritten or deleted stays until it is deleted by its id, under the same law; and what is locked stays."""

import datetime

from clients import GERMANY, expect, refusal

DENIED = 451
KEY = "labels.json"
FIRST, SECOND = b'{"cat": 1}', b'{"cat": 1, "dog": 2}'


def what_is_overwritten_or_deleted_is_kept_and_comes_back(demo):
    s3, bucket = demo.s3(), f"{demo.bucket}-versions"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "cn"})
    s3.put_object(Bucket=bucket, Key=KEY, Body=FIRST)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    second = s3.put_object(Bucket=bucket, Key=KEY, Body=SECOND)["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key=KEY)
    expect("what the deletion leaves", True, marker["DeleteMarker"])
    status, code, _ = refusal(s3.get_object, Bucket=bucket, Key=KEY)
    expect("the deleted object", (404, "NoSuchKey"), (status, code))
    read = {version: body(s3, bucket, version) for version in ("null", second)}
    expect("the versions under the marker", {"null": FIRST, second: SECOND}, read)
    listed = s3.list_object_versions(Bucket=bucket)
    expect("what the listing shows", [second, "null"], [entry["VersionId"] for entry in listed["Versions"]])
    expect("the newest", True, listed["DeleteMarkers"][0]["IsLatest"])
    yield "an overwritten and a deleted version are read by their ids, one of them from before versioning"
    s3.delete_object(Bucket=bucket, Key=KEY, VersionId=marker["VersionId"])
    expect("the object without its marker", SECOND, s3.get_object(Bucket=bucket, Key=KEY)["Body"].read())
    s3.copy_object(Bucket=bucket, Key=KEY, CopySource={"Bucket": bucket, "Key": KEY, "VersionId": "null"})
    expect("the first version, restored", FIRST, s3.get_object(Bucket=bucket, Key=KEY)["Body"].read())
    yield "a deletion is undone, and an old version restored by a copy"


def an_old_version_is_under_the_law_as_the_newest_is(demo):
    bucket = f"{demo.bucket}-versions"
    abroad = demo.s3(source=GERMANY)
    status, *_ = refusal(abroad.get_object, Bucket=bucket, Key=KEY, VersionId="null")
    expect("an old version, asked for from Germany", DENIED, status)
    status, *_ = refusal(abroad.list_object_versions, Bucket=bucket)
    expect("the list of versions, from Germany", DENIED, status)
    yield "denied by the same rule: reading an old version, and listing versions"
    everything = all_versions(demo.s3(), bucket)
    demo.s3().delete_objects(Bucket=bucket, Delete={"Objects": everything})
    expect("what is left", [], all_versions(demo.s3(), bucket))
    demo.s3().delete_bucket(Bucket=bucket)


def a_version_under_retention_outlasts_whoever_would_delete_it(demo):
    s3, bucket = demo.s3(), f"{demo.bucket}-locked"
    s3.create_bucket(
        Bucket=bucket,
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": "cn"},
    )
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    version = s3.put_object(Bucket=bucket, Key=KEY, Body=FIRST, **lock)["VersionId"]
    _, code, _ = refusal(s3.delete_object, Bucket=bucket, Key=KEY, VersionId=version)
    expect("its deletion", "AccessDenied", code)
    _, code, _ = refusal(s3.delete_bucket, Bucket=bucket)
    expect("its bucket's deletion", "BucketNotEmpty", code)
    expect("the version", FIRST, body(s3, bucket, version))
    yield "neither it nor its bucket can be deleted before its time"
    s3.delete_object(Bucket=bucket, Key=KEY, VersionId=version, BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket=bucket)
    yield "its owner may bypass governance, and says so"


def body(s3, bucket, version):
    return s3.get_object(Bucket=bucket, Key=KEY, VersionId=version)["Body"].read()


def all_versions(s3, bucket):
    """Every version and marker, in the form in which they are deleted."""
    pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=bucket))
    entries = [entry for page in pages for entry in page.get("Versions", []) + page.get("DeleteMarkers", [])]
    return [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]


STEPS = [
    what_is_overwritten_or_deleted_is_kept_and_comes_back,
    an_old_version_is_under_the_law_as_the_newest_is,
    a_version_under_retention_outlasts_whoever_would_delete_it,
]
