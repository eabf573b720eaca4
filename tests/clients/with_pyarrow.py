"""pyarrow: a partitioned parquet dataset written to the bucket, and read with filters that are pushed down."""

import pyarrow.compute
import pyarrow.csv
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet

import kit


def main(s3):
    fs = pyarrow.fs.S3FileSystem(
        access_key=s3.access_key,
        secret_key=s3.secret_key,
        endpoint_override=s3.host,
        scheme=s3.scheme,
        region=s3.region,
        tls_ca_file_path=s3.ca_file,
    )
    local = pyarrow.dataset.dataset(s3.table, partitioning="hive").to_table()
    there = f"{s3.bucket}/flights"
    pyarrow.dataset.write_dataset(
        local, there, filesystem=fs, format="parquet", partitioning=["month"], partitioning_flavor="hive"
    )
    remote = pyarrow.dataset.dataset(there, filesystem=fs, partitioning="hive", format="parquet")
    kit.expect("files", 12, len(remote.files))
    order = [(name, "ascending") for name in ["month", "day", "sched_dep_time", "carrier", "flight", "origin"]]
    names = local.column_names
    whole = remote.to_table(columns=names).cast(local.schema).sort_by(order)
    kit.expect_that("the table read is the table written", whole.equals(local.sort_by(order)), whole.num_rows)
    print(f"dataset of {len(remote.files)} files, {whole.num_rows:,} rows")

    wanted = (pyarrow.dataset.field("month") == 7) & (pyarrow.dataset.field("dest") == "LAX")
    some = remote.to_table(filter=wanted, columns=["carrier", "arr_delay"])
    month = local.filter(pyarrow.compute.and_(pyarrow.compute.equal(local["month"], 7), pyarrow.compute.equal(local["dest"], "LAX")))
    kit.expect("rows to Los Angeles in July", month.num_rows, some.num_rows)
    kit.expect("their delay", pyarrow.compute.sum(month["arr_delay"]), pyarrow.compute.sum(some["arr_delay"]))
    print(f"filter on partition and column: {some.num_rows:,} rows")

    content = s3.csv.read_bytes()
    with fs.open_output_stream(f"{s3.bucket}/flights.csv") as out:
        out.write(content)
    with fs.open_input_stream(f"{s3.bucket}/flights.csv") as file:
        kit.expect("flights.csv", kit.sha256(content), kit.sha256(file.read()))
    with fs.open_input_file(f"{s3.bucket}/flights.csv") as file:
        file.seek(10_000_000)
        kit.expect("1,000 bytes in the middle", content[10_000_000:10_001_000], file.read(1000))
    fs.delete_dir(there)
    left = [info.base_name for info in fs.get_file_info(pyarrow.fs.FileSelector(s3.bucket))]
    kit.expect("what is left", ["flights.csv"], left)
    print("flights.csv as a stream; a range of it; a folder deleted")


kit.run(main)
