"""smart-open: streams both ways, seek, gzip."""

import gzip

import boto3
from smart_open import open as smart_open

import kit


def main(s3):
    client = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        region_name=s3.region,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        verify=s3.ca_file,
    )
    content = s3.csv.read_bytes()
    there = f"s3://{s3.bucket}/flights.csv"
    with smart_open(there, "wb", transport_params={"client": client, "min_part_size": 5 << 20}) as out:
        for at in range(0, len(content), 1 << 20):
            out.write(content[at : at + (1 << 20)])
    with smart_open(there, "rb", transport_params={"client": client}) as file:
        kit.expect("flights.csv", kit.sha256(content), kit.sha256(file.read()))
        file.seek(-1000, 2)
        kit.expect("the last 1,000 bytes", content[-1000:], file.read())
    print("flights.csv as a stream in parts of 5 MiB; seek")

    with smart_open(f"{there}.gz", "wb", transport_params={"client": client}) as out:
        out.write(content[:4_000_000])
    raw = client.get_object(Bucket=s3.bucket, Key="flights.csv.gz")["Body"].read()
    kit.expect("what is stored is gzip of it", content[:4_000_000], gzip.decompress(raw))
    with smart_open(f"{there}.gz", "r", transport_params={"client": client}) as lines:
        kit.expect("its first line", content.splitlines()[0].decode(), next(lines).rstrip())
    print("compressed on the way in and out")


kit.run(main)
