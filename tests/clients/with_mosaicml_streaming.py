"""mosaicml-streaming: shards uploaded by MDSWriter, streamed by StreamingDataset."""

import kit


def main(s3):
    s3.set_environment(S3_ENDPOINT_URL=s3.endpoint)
    from streaming import MDSWriter, StreamingDataset

    photos = [path for path in sorted(s3.photos.rglob("*")) if path.is_file()]
    there = f"s3://{s3.bucket}/mds"
    with MDSWriter(
        out=there, columns={"name": "str", "photo": "bytes", "number": "int"}, size_limit=1 << 20, hashes=["sha1"]
    ) as out:
        for number, path in enumerate(photos):
            out.write({"name": path.name, "photo": path.read_bytes(), "number": number})
    dataset = StreamingDataset(
        remote=there, local=str(s3.scratch / "cache"), batch_size=1, shuffle=True, shuffle_seed=1, validate_hash="sha1"
    )
    seen = {sample["name"]: kit.sha256(sample["photo"]) for sample in dataset}
    kit.expect("photographs", {path.name: kit.digest(path) for path in photos}, seen)
    print(f"{len(seen)} photographs in {len(dataset.shards)} shards, streamed in shuffled order")


kit.run(main)
