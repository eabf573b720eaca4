"""litdata: chunks written into the bucket by `optimize`, streamed by StreamingDataset."""

import os

import numpy

import kit


def main(s3):
    # It downloads through obstore (object_store), which reads this, and uploads through boto3, which reads the others.
    s3.set_environment(SSL_CERT_FILE=s3.ca_file)
    from litdata import StreamingDataset, optimize

    options = {
        "aws_access_key_id": s3.access_key,
        "aws_secret_access_key": s3.secret_key,
        "endpoint_url": s3.endpoint,
        "region_name": s3.region,
    }
    photos = [str(path) for path in sorted(s3.photos.rglob("*")) if path.is_file()]
    there = f"s3://{s3.bucket}/lit"
    optimize(
        fn=sample, inputs=photos, output_dir=there, num_workers=1, chunk_bytes="1MB", storage_options=options, verbose=False
    )
    dataset = StreamingDataset(there, cache_dir=str(s3.folder("cache")), storage_options=options, shuffle=True)
    seen = {row["name"]: kit.sha256(row["photo"].tobytes()) for row in dataset}
    kit.expect("photographs", {os.path.basename(path): kit.digest(path) for path in photos}, seen)
    print(f"{len(seen)} photographs written by optimize, streamed in shuffled order")


def sample(path):
    # As numbers and without its folder: bytes of a JPEG, and paths of one, would come back decoded.
    return {"name": os.path.basename(path), "photo": numpy.fromfile(path, dtype=numpy.uint8)}


if __name__ == "__main__":
    kit.run(main)
