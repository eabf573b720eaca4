"""webdataset: shards written and streamed through pipes of awscli, as its users do."""

import os

import webdataset

import kit


def main(s3):
    s3.set_environment(PATH=f"{kit.BINARIES}{os.pathsep}{os.environ['PATH']}")
    there = f"s3://{s3.bucket}/photos.tar"
    kit.call(["aws", "s3", "cp", "--only-show-errors", s3.tar, there], dict(os.environ))
    local = samples(str(s3.tar))
    kit.expect_that("samples", len(local) > 20, len(local))
    kit.expect("samples through a pipe", local, samples(f"pipe:aws s3 cp {there} -"))
    print(f"a tar of {len(local)} samples streamed")

    keys = sorted(local)
    with webdataset.ShardWriter(
        f"pipe:aws s3 cp - s3://{s3.bucket}/shards/%03d.tar", maxcount=len(keys) // 3 + 1, verbose=0
    ) as writer:
        for key in keys:
            writer.write({"__key__": key, **local[key]})
    streamed = samples(f"pipe:aws s3 cp s3://{s3.bucket}/shards/{{000..002}}.tar -")
    kit.expect("samples of three shards", {key: digests(local[key]) for key in keys}, {k: digests(v) for k, v in streamed.items()})
    print("three shards written and streamed")


def samples(url):
    found = {}
    for sample in webdataset.WebDataset(url, shardshuffle=False, empty_check=False):
        found[sample["__key__"]] = {name: sample[name] for name in sample if not name.startswith("__")}
    return found


def digests(sample):
    return {name: kit.sha256(content) for name, content in sample.items()}


kit.run(main)
