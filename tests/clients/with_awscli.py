"""awscli: `s3 sync` both ways, `s3 cp` of a large file, `s3api`."""

import json

import kit


def main(s3):
    def aws(*words):
        return s3.tool("aws", *words)

    there, back = f"s3://{s3.bucket}/photos", s3.folder("photos")
    aws("s3", "sync", "--only-show-errors", s3.photos, there)
    aws("s3", "sync", "--only-show-errors", there, back)
    count = kit.expect_same_files("s3 sync", s3.photos, back)
    kit.expect("what a second sync would bring", "", aws("s3", "sync", "--dryrun", s3.photos, there))
    print(f"s3 sync both ways: {count} photographs, and nothing left to do")

    copy = s3.scratch / "flights.csv"
    aws("s3", "cp", "--only-show-errors", s3.csv, f"s3://{s3.bucket}/flights.csv")
    aws("s3", "cp", "--only-show-errors", f"s3://{s3.bucket}/flights.csv", f"s3://{s3.bucket}/copy.csv")
    aws("s3", "cp", "--only-show-errors", f"s3://{s3.bucket}/copy.csv", copy)
    kit.expect("flights.csv", kit.digest(s3.csv), kit.digest(copy))
    listed = aws("s3", "ls", "--recursive", "--summarize", f"s3://{s3.bucket}/")
    kit.expect_that("s3 ls", f"Total Objects: {count + 2}" in listed, listed)
    print("s3 cp up, within the bucket and down: flights.csv, multipart; s3 ls")

    place = ["--bucket", s3.bucket, "--key", "photos.tar"]
    aws("s3api", "put-object", *place, "--body", s3.tar, "--checksum-algorithm", "SHA256")
    head = json.loads(aws("s3api", "head-object", *place, "--checksum-mode", "ENABLED"))
    kit.expect("length", s3.tar.stat().st_size, head["ContentLength"])
    kit.expect_that("checksum", "ChecksumSHA256" in head, head)
    aws("s3api", "get-object", *place, s3.scratch / "photos.tar")
    kit.expect("photos.tar", kit.digest(s3.tar), kit.digest(s3.scratch / "photos.tar"))
    aws("s3", "rm", "--recursive", "--only-show-errors", there)
    kit.expect("what is left", 3, len(json.loads(aws("s3api", "list-objects-v2", "--bucket", s3.bucket))["Contents"]))
    print("s3api put-object with SHA256, head-object, get-object; s3 rm --recursive")


kit.run(main)
