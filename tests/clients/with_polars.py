"""polars: `write_parquet` into the bucket, `scan_parquet` with predicates that are pushed down."""

import os

import kit


def main(s3):
    if s3.ca_file:
        # Read once, when the first connection is made: there is no option for it.
        os.environ["SSL_CERT_FILE"] = s3.ca_file
    import polars

    options = {
        "aws_access_key_id": s3.access_key,
        "aws_secret_access_key": s3.secret_key,
        "aws_endpoint_url": s3.endpoint,
        "aws_region": s3.region,
        "aws_allow_http": "true",
    }
    local = polars.read_parquet(s3.table / "**/*.parquet", hive_partitioning=True)
    for (month,), rows in local.partition_by("month", as_dict=True).items():
        rows.write_parquet(f"s3://{s3.bucket}/flights/month={month}/part.parquet", storage_options=options)
    scanned = polars.scan_parquet(f"s3://{s3.bucket}/flights/", storage_options=options, hive_partitioning=True)
    order = ["month", "day", "sched_dep_time", "carrier", "flight", "origin"]
    whole = scanned.select(local.columns).collect().sort(order)
    kit.expect_that("the table read is the table written", whole.equals(local.sort(order)), whole.shape)
    print(f"{whole.height:,} rows in 12 files")

    wanted = (polars.col("month") == 7) & (polars.col("dest") == "LAX")
    some = scanned.filter(wanted).select("carrier", "arr_delay").collect()
    month = local.filter(wanted)
    kit.expect("rows to Los Angeles in July", month.height, some.height)
    kit.expect("their delay", month["arr_delay"].sum(), some["arr_delay"].sum())
    print(f"filter on partition and column: {some.height:,} rows")


kit.run(main)
