"""What every client of the matrix is given: an endpoint with credentials, a bucket of its own, real files to bring there
and back, and comparisons that fail with what was seen.

A client is a script `with_NAME.py`. Run by hand against a running demo:

    python tests/clients/run.py target/demo boto3

Its own work stands in `main(s3)`; the last line of the script is `kit.run(main)`.
"""

import configparser
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import urllib.request

BINARIES = pathlib.Path(sys.executable).parent


class Mismatch(Exception):
    """Something did not come back as it was sent."""


class S3:
    """One gateway over one scheme, and a bucket of it."""

    def __init__(self, demo, scheme, bucket, data, scratch):
        manifest = json.loads((demo / "demo.json").read_text())
        gateway = manifest["gateways"][0]
        credentials = configparser.ConfigParser()
        credentials.read(manifest["credentials_file"])
        profile = credentials["uploader-a"]
        self.scheme = scheme
        self.secure = scheme == "https"
        self.endpoint = gateway["s3_tls"] if self.secure else gateway["s3"]
        self.host = self.endpoint.split("//")[1]
        self.region = gateway["default_region"]
        self.access_key = profile["aws_access_key_id"]
        self.secret_key = profile["aws_secret_access_key"]
        self.ca_file = manifest["ca_file"] if self.secure else None
        self.bucket = bucket
        self.data = data
        self.scratch = scratch
        # Real files: a table of 30 MiB as text, the same as a partitioned dataset, photographs in folders, and those as a tar.
        self.csv = data / "flights.csv"
        self.table = data / "flights"
        self.photos = data / "photos"
        self.tar = data / "photos.tar"

    def environment(self, **more):
        """What the AWS tools and SDKs read."""
        given = {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        if self.ca_file:
            given["AWS_CA_BUNDLE"] = self.ca_file
        return {**os.environ, **given, **more}

    def set_environment(self, **more):
        os.environ.update(self.environment(**more))

    def folder(self, name):
        folder = self.scratch / name
        folder.mkdir()
        return folder

    def tool(self, name, *words, **environment):
        """Runs a program of the Python environment; its output."""
        return call([BINARIES / name, *words], self.environment(**environment))


def call(command, environment, fails=False):
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True, timeout=120)
    shown = " ".join(str(word) for word in command)
    if (done.returncode != 0) != fails:
        raise Mismatch(f"{shown} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + (done.stderr if fails else "")


def expect(what, expected, seen):
    if expected != seen:
        raise Mismatch(f"{what}: expected {shown(expected)}, saw {shown(seen)}")


def expect_that(what, holds, seen):
    if not holds:
        raise Mismatch(f"{what}: saw {shown(seen)}")


def shown(value):
    text = repr(value)
    return text if len(text) <= 500 else f"{text[:500]}.. ({len(text)} characters)"


def files(folder):
    """SHA-256 of every file below a folder, by relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): digest(path) for path in paths}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def expect_same_files(what, sent, received):
    """Both folders hold the same paths with the same bytes; how many."""
    expected, seen = files(sent), files(received)
    expect(f"{what}: paths", sorted(expected), sorted(seen))
    differing = [path for path in expected if expected[path] != seen[path]]
    expect(f"{what}: files that differ", [], differing)
    return len(expected)


def fetch(url, ca_file, method="GET", body=None, headers=None):
    """Plain HTTP, as a browser or curl would use a presigned link: the status and the body."""
    import ssl

    handlers = [urllib.request.ProxyHandler({})]
    if ca_file:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)))
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    with urllib.request.build_opener(*handlers).open(request, timeout=60) as response:
        return response.status, response.read()


def run(main):
    """Runs a client; what it prints are its findings. The exit code says whether they held."""
    demo, scheme, bucket, data, scratch = sys.argv[1:]
    main(S3(pathlib.Path(demo), scheme, bucket, pathlib.Path(data), pathlib.Path(scratch)))
