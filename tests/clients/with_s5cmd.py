"""s5cmd: sync both ways, multipart, cat."""

import kit


def main(s3):
    def s5cmd(*words):
        return s3.tool("s5cmd", "--endpoint-url", s3.endpoint, *words)

    there, back = f"s3://{s3.bucket}/photos/", s3.folder("photos")
    s5cmd("sync", f"{s3.photos}/", there)
    s5cmd("sync", f"{there}*", f"{back}/")
    count = kit.expect_same_files("sync", s3.photos, back)
    kit.expect("what a second sync does", "", s5cmd("sync", "--size-only", f"{s3.photos}/", there))
    print(f"sync both ways: {count} photographs, and nothing left to do")

    s5cmd("cp", "--part-size", "5", s3.csv, f"s3://{s3.bucket}/flights.csv")
    s5cmd("cp", "--part-size", "5", f"s3://{s3.bucket}/flights.csv", s3.scratch / "flights.csv")
    kit.expect("flights.csv", kit.digest(s3.csv), kit.digest(s3.scratch / "flights.csv"))
    kit.expect("cat", kit.sha256(s3.csv.read_bytes()), kit.sha256(s5cmd("cat", f"s3://{s3.bucket}/flights.csv").encode()))
    s5cmd("rm", f"{there}*")
    kit.expect("what is left", 1, len(s5cmd("ls", f"s3://{s3.bucket}/*").splitlines()))
    print("cp in parts of 5 MiB up and down, cat, rm")


kit.run(main)
