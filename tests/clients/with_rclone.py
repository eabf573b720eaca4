"""rclone: copy, check --download, copyto of a large file, purge of a folder."""

import os

import kit


def main(s3):
    remote = {
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_D_TYPE": "s3",
        "RCLONE_CONFIG_D_PROVIDER": "Other",
        "RCLONE_CONFIG_D_ENDPOINT": s3.endpoint,
        "RCLONE_CONFIG_D_REGION": s3.region,
        "RCLONE_CONFIG_D_ACCESS_KEY_ID": s3.access_key,
        "RCLONE_CONFIG_D_SECRET_ACCESS_KEY": s3.secret_key,
        "RCLONE_CONFIG_D_LOCATION_CONSTRAINT": s3.region,
        **({"RCLONE_CA_CERT": s3.ca_file} if s3.ca_file else {}),
    }

    def rclone(*words):
        return s3.tool("rclone", *words, **remote)

    there, back = f"d:{s3.bucket}/photos", s3.folder("photos")
    rclone("copy", s3.photos, there)
    rclone("check", "--download", s3.photos, there)
    rclone("copy", there, back)
    count = kit.expect_same_files("copy", s3.photos, back)
    print(f"copy both ways, check --download: {count} photographs")

    large = f"d:{s3.bucket}/flights.csv"
    rclone("copyto", "--s3-upload-cutoff", "8M", "--s3-chunk-size", "5M", s3.csv, large)
    rclone("copyto", "--multi-thread-cutoff", "8M", large, s3.scratch / "flights.csv")
    kit.expect("flights.csv", kit.digest(s3.csv), kit.digest(s3.scratch / "flights.csv"))
    kit.expect("md5sum", rclone("md5sum", s3.csv).split()[0], rclone("md5sum", "--download", large).split()[0])
    rclone("purge", there)
    kit.expect("what is left", "flights.csv", rclone("lsf", "-R", f"d:{s3.bucket}").strip())
    print("copyto in parts of 5 MiB up, by parallel ranges down; md5sum; purge")


kit.run(main)
