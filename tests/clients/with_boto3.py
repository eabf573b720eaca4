"""boto3 with what it does by itself: CRC checksums, multipart by its transfer manager, presigned links."""

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import kit


def main(s3):
    client = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        region_name=s3.region,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        verify=s3.ca_file,
        config=Config(retries={"max_attempts": 1}, proxies={}),
    )
    client.upload_file(str(s3.csv), s3.bucket, "flights.csv")
    head = client.head_object(Bucket=s3.bucket, Key="flights.csv", ChecksumMode="ENABLED")
    kit.expect_that("the table came by multipart", head["ETag"].endswith('-4"'), head["ETag"])
    kit.expect_that("its checksum", "-4" in head.get("ChecksumCRC32", ""), head)
    back = s3.scratch / "flights.csv"
    client.download_file(s3.bucket, "flights.csv", str(back))
    kit.expect("flights.csv", kit.digest(s3.csv), kit.digest(back))
    print("transfer manager: flights.csv in 4 parts, back by parallel ranges")

    photos = kit.files(s3.photos)
    for path in photos:
        content = (s3.photos / path).read_bytes()
        client.put_object(Bucket=s3.bucket, Key=f"photos/{path}", Body=content, Metadata={"sha256": photos[path]})
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=s3.bucket, Prefix="photos/", PaginationConfig={"PageSize": 7})
    listed = [entry["Key"].removeprefix("photos/") for page in pages for entry in page["Contents"]]
    kit.expect("what LIST shows, in pages of 7", sorted(photos, key=lambda path: path.encode()), listed)
    for path in listed:
        got = client.get_object(Bucket=s3.bucket, Key=f"photos/{path}", ChecksumMode="ENABLED")
        kit.expect(f"bytes of {path}", photos[path], kit.sha256(got["Body"].read()))
        kit.expect(f"metadata of {path}", {"sha256": photos[path]}, got["Metadata"])
        kit.expect_that(f"checksum of {path}", "ChecksumCRC32" in got, sorted(got))
    print(f"PUT and GET with checksums, LIST in pages: {len(listed)} photographs")

    params = {"Bucket": s3.bucket, "Key": "linked name+=%&?.bin"}
    content = s3.tar.read_bytes()
    status, _ = kit.fetch(client.generate_presigned_url("put_object", Params=params), s3.ca_file, "PUT", content)
    kit.expect("presigned PUT", 200, status)
    _, body = kit.fetch(client.generate_presigned_url("get_object", Params=params), s3.ca_file)
    kit.expect("presigned GET", kit.sha256(content), kit.sha256(body))
    _, body = kit.fetch(client.generate_presigned_url("get_object", Params=params), s3.ca_file, headers={"Range": "bytes=-100"})
    kit.expect("presigned GET of the last bytes", content[-100:], body)
    print("presigned PUT, GET and range")

    try:
        client.put_object(Bucket=s3.bucket, Key="flights.csv", Body=b"other", IfNoneMatch="*")
        raise kit.Mismatch("If-None-Match: * replaced an object")
    except ClientError as error:
        kit.expect("PUT onto what is there", 412, error.response["ResponseMetadata"]["HTTPStatusCode"])
    keys = [{"Key": f"photos/{path}"} for path in listed]
    gone = client.delete_objects(Bucket=s3.bucket, Delete={"Objects": keys})
    kit.expect("deleted at once", len(keys), len(gone["Deleted"]))
    print(f"conditional PUT; DeleteObjects of {len(keys)}")


kit.run(main)
