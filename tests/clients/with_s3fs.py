"""s3fs: folders up and down, glob, a file read in pieces, a stream that becomes a multipart upload."""

import s3fs

import kit


def main(s3):
    fs = s3fs.S3FileSystem(
        key=s3.access_key,
        secret=s3.secret_key,
        endpoint_url=s3.endpoint,
        client_kwargs={"region_name": s3.region, "verify": s3.ca_file},
    )
    there, back = f"{s3.bucket}/photos", s3.scratch / "photos"
    fs.put(f"{s3.photos}/", there, recursive=True)
    fs.get(f"{there}/", str(back), recursive=True)
    count = kit.expect_same_files("put and get of a folder", s3.photos, back)
    jpegs = [path for path in kit.files(s3.photos) if path.endswith(".jpg")]
    kit.expect("glob", len(jpegs), len(fs.glob(f"{there}/**/*.jpg")))
    print(f"folder of {count} photographs up and down; glob")

    content = s3.csv.read_bytes()
    with fs.open(f"{s3.bucket}/flights.csv", "wb", block_size=8 << 20) as out:
        out.write(content)
    with fs.open(f"{s3.bucket}/flights.csv", "rb", block_size=1 << 20) as file:
        kit.expect("flights.csv", kit.sha256(content), kit.sha256(file.read()))
        file.seek(20_000_000)
        kit.expect("1,000 bytes in the middle", content[20_000_000:20_001_000], file.read(1000))
    kit.expect("size", len(content), fs.size(f"{s3.bucket}/flights.csv"))
    fs.mv(f"{s3.bucket}/flights.csv", f"{s3.bucket}/moved.csv")
    kit.expect("what is there after mv", [False, True], [fs.exists(f"{s3.bucket}/{n}.csv") for n in ["flights", "moved"]])
    kit.expect("tail", content[-500:], fs.tail(f"{s3.bucket}/moved.csv", 500))
    print("flights.csv as a stream in blocks of 8 MiB; seek; mv")


kit.run(main)
