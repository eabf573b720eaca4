"""Hugging Face datasets: loaded and streamed from parquet in the bucket, saved to it and loaded back."""

import os

import kit


def main(s3):
    os.environ["HF_HOME"] = str(s3.folder("hf"))
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    import datasets
    import s3fs

    options = {
        "key": s3.access_key,
        "secret": s3.secret_key,
        "endpoint_url": s3.endpoint,
        "client_kwargs": {"region_name": s3.region, "verify": s3.ca_file},
    }
    # Each call gets its own: `load_dataset` leaves an entry of its own in what it is given.
    fs = s3fs.S3FileSystem(**options)
    months = sorted(s3.table.rglob("*.parquet"))[:3]
    names = []
    for number, path in enumerate(months):
        names.append(f"s3://{s3.bucket}/flights/{number}.parquet")
        fs.put(str(path), names[-1])
    local = datasets.load_dataset("parquet", data_files=[str(path) for path in months], split="train")
    remote = datasets.load_dataset("parquet", data_files=names, split="train", storage_options=dict(options))
    kit.expect_that("the rows read are those stored", remote.data.table.equals(local.data.table), remote.num_rows)
    print(f"load_dataset of parquet: {remote.num_rows:,} rows")

    streamed = datasets.load_dataset("parquet", data_files=names, split="train", storage_options=dict(options), streaming=True)
    kit.expect("the first rows of a stream", [local[i] for i in range(100)], list(streamed.take(100)))
    some = local.select(range(5000))
    some.save_to_disk(f"s3://{s3.bucket}/saved", storage_options=dict(options))
    again = datasets.load_from_disk(f"s3://{s3.bucket}/saved", storage_options=dict(options))
    kit.expect_that("the rows saved and loaded", again.to_dict() == some.to_dict(), again.num_rows)
    some.to_parquet(f"s3://{s3.bucket}/some.parquet", storage_options=dict(options))
    kit.expect("a parquet file starts with", b"PAR1", fs.cat_file(f"s3://{s3.bucket}/some.parquet", start=0, end=4))
    print("streaming, save_to_disk and load_from_disk, to_parquet")


kit.run(main)
