"""minio-py."""

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject

import kit


def main(s3):
    client = Minio(
        s3.host,
        access_key=s3.access_key,
        secret_key=s3.secret_key,
        secure=s3.secure,
        region=s3.region,
        http_client=urllib3.PoolManager(ca_certs=s3.ca_file) if s3.ca_file else None,
    )
    kit.expect("the bucket exists", True, client.bucket_exists(bucket_name=s3.bucket))
    photos = kit.files(s3.photos)
    for path in photos:
        client.fput_object(bucket_name=s3.bucket, object_name=f"photos/{path}", file_path=str(s3.photos / path))
    listed = [entry.object_name for entry in client.list_objects(bucket_name=s3.bucket, prefix="photos/", recursive=True)]
    kit.expect("what LIST shows", sorted(f"photos/{path}" for path in photos), sorted(listed))
    back = s3.folder("photos")
    for path in photos:
        client.fget_object(bucket_name=s3.bucket, object_name=f"photos/{path}", file_path=str(back / path))
    print(f"{kit.expect_same_files('fput and fget', s3.photos, back)} photographs")

    part = 5 << 20
    client.fput_object(bucket_name=s3.bucket, object_name="flights.csv", file_path=str(s3.csv), part_size=part)
    stat = client.stat_object(bucket_name=s3.bucket, object_name="flights.csv")
    kit.expect("size", s3.csv.stat().st_size, stat.size)
    kit.expect_that("came by multipart", "-" in stat.etag, stat.etag)
    client.fget_object(bucket_name=s3.bucket, object_name="flights.csv", file_path=str(s3.scratch / "flights.csv"))
    kit.expect("flights.csv", kit.digest(s3.csv), kit.digest(s3.scratch / "flights.csv"))
    url = client.presigned_get_object(bucket_name=s3.bucket, object_name="flights.csv")
    kit.expect("a presigned link", kit.digest(s3.csv), kit.sha256(kit.fetch(url, s3.ca_file)[1]))
    # It writes what is not ASCII as character references, and s3s 0.17.0 refuses those above U+FFFF as malformed.
    beyond = [name for name in listed if max(name) > "\uffff"]
    kit.expect("names beyond U+FFFF", 1, len(beyond))
    client.remove_object(bucket_name=s3.bucket, object_name=beyond[0])
    names = [DeleteObject(name) for name in listed if name not in beyond]
    kit.expect("errors of a removal of many", [], list(client.remove_objects(bucket_name=s3.bucket, delete_object_list=names)))
    kit.expect("what is left", 1, len(list(client.list_objects(bucket_name=s3.bucket, recursive=True))))
    print("flights.csv by multipart of 5 MiB; stat; presigned link; removal of many")


kit.run(main)
