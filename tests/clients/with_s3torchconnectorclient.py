"""s3torchconnectorclient: the AWS Common Runtime as PyTorch's connector uses it."""

import kit


def main(s3):
    # The CRT has no setting for a CA of one's own, and does not read AWS_CA_BUNDLE.
    s3.set_environment(**({"SSL_CERT_FILE": s3.ca_file} if s3.ca_file else {}))
    from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client

    client = MountpointS3Client(region=s3.region, endpoint=s3.endpoint, force_path_style=True, throughput_target_gbps=1.0)
    photos = kit.files(s3.photos)
    for path in photos:
        write(client, s3.bucket, f"photos/{path}", (s3.photos / path).read_bytes())
    listed = [entry.key for page in client.list_objects(s3.bucket, "photos/", max_keys=10) for entry in page.object_info]
    kit.expect("what LIST shows, in pages of 10", sorted(f"photos/{path}" for path in photos), sorted(listed))
    for path in photos:
        kit.expect(f"bytes of {path}", photos[path], kit.sha256(read(client, s3.bucket, f"photos/{path}")))
    print(f"{len(photos)} photographs, each a multipart upload; LIST in pages")

    content = s3.csv.read_bytes()
    write(client, s3.bucket, "flights.csv", content)
    kit.expect("size", len(content), client.head_object(s3.bucket, "flights.csv").size)
    kit.expect("flights.csv", kit.sha256(content), kit.sha256(read(client, s3.bucket, "flights.csv")))
    middle = b"".join(client.get_object(s3.bucket, "flights.csv", 9_999_000, 10_001_000))
    kit.expect("a range", content[9_999_000:10_001_000], middle)
    client.copy_object(s3.bucket, "flights.csv", s3.bucket, "copy.csv")
    client.delete_object(s3.bucket, "flights.csv")
    kit.expect("size of the copy", len(content), client.head_object(s3.bucket, "copy.csv").size)
    print("flights.csv in parts of 8 MiB, read in parallel ranges; range, copy, delete")


def write(client, bucket, key, content):
    stream = client.put_object(bucket, key)
    for at in range(0, len(content), 1 << 20):
        stream.write(content[at : at + (1 << 20)])
    stream.close()


def read(client, bucket, key):
    return b"".join(client.get_object(bucket, key))


kit.run(main)
