"""s3cmd: sync both ways, multipart."""

import kit


def main(s3):
    settings = [
        f"--host={s3.host}",
        f"--host-bucket={s3.host}",
        f"--region={s3.region}",
        f"--access_key={s3.access_key}",
        f"--secret_key={s3.secret_key}",
        "--config=/dev/null",
        "--no-progress",
        *(["--ssl", f"--ca-certs={s3.ca_file}"] if s3.secure else ["--no-ssl"]),
    ]

    def s3cmd(*words):
        return s3.tool("s3cmd", *settings, *words)

    there, back = f"s3://{s3.bucket}/photos/", s3.folder("photos")
    s3cmd("sync", f"{s3.photos}/", there)
    s3cmd("sync", there, f"{back}/")
    count = kit.expect_same_files("sync", s3.photos, back)
    again = s3cmd("sync", "--dry-run", f"{s3.photos}/", there)
    kit.expect_that("what a second sync would bring", "upload:" not in again, again)
    print(f"sync both ways: {count} photographs, and nothing left to do")

    s3cmd("put", "--multipart-chunk-size-mb=5", s3.csv, f"s3://{s3.bucket}/flights.csv")
    s3cmd("get", f"s3://{s3.bucket}/flights.csv", s3.scratch / "flights.csv")
    kit.expect("flights.csv", kit.digest(s3.csv), kit.digest(s3.scratch / "flights.csv"))
    info = s3cmd("info", f"s3://{s3.bucket}/flights.csv")
    kit.expect_that("info", str(s3.csv.stat().st_size) in info, info)
    s3cmd("del", "--recursive", "--force", there)
    listed = s3cmd("ls", "--recursive", f"s3://{s3.bucket}/").split()
    kit.expect("what is left", f"s3://{s3.bucket}/flights.csv", " ".join(word for word in listed if word.startswith("s3:")))
    print("put in parts of 5 MiB, get, info, del --recursive")


kit.run(main)
