"""The clients of the tour, each as its users know it: boto3, awscli, pyarrow, curl, the program's own command line."""

import configparser
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import boto3
import pyarrow.fs
from botocore.config import Config
from botocore.exceptions import ClientError

# Source addresses that stand for places: any address of a network of the place will do.
ABROAD = {"DE": "127.30.0.9", "HK": "127.20.0.9", "MO": "127.21.0.9", "TW": "127.22.0.9"}
CHINA = "127.10.0.9"
GERMANY = ABROAD["DE"]


class Mismatch(Exception):
    """Something is not as it should be."""


def expect(what, expected, seen):
    """Fails unless both are equal."""
    if expected != seen:
        raise Mismatch(f"{what}: expected {expected!r}, saw {seen!r}")


def expect_that(what, holds, seen):
    """Fails unless `holds`."""
    if not holds:
        raise Mismatch(f"{what}: saw {seen!r}")


def mebibytes(count):
    return f"{count / 2**20:.1f} MiB"


class Demo:
    """The running demo, and what the steps remember of each other."""

    def __init__(self, folder, program):
        self.folder = folder
        self.program = str(program)
        self.manifest = json.loads((folder / "demo.json").read_text())
        self.tokens = json.loads((folder / "tokens.json").read_text())
        self.gateways = {gateway["name"]: gateway for gateway in self.manifest["gateways"]}
        self.nodes = {node["name"]: node for node in self.manifest["nodes"]}
        self.names = {node["id"]: node["name"] for node in self.manifest["nodes"]}
        self.credentials = configparser.ConfigParser()
        self.credentials.read(folder / "credentials")
        # Each run has buckets of its own: the folder may hold those of earlier ones.
        self.run = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        self.bucket = f"tour-{self.run}"
        self.files = {}
        self.notes = {}

    # ---- S3 ----------------------------------------------------------------------------------------------------------

    def keys(self, tenant):
        profile = self.credentials[f"uploader-{tenant}"]
        return profile["aws_access_key_id"], profile["aws_secret_access_key"]

    def s3(self, gateway="cn", tenant="a", tls=False, source=None):
        """A boto3 client, speaking from the address `source` if one is given."""
        access, secret = self.keys(tenant)
        where = self.gateways[f"gateway-{gateway}"]
        client = boto3.client(
            "s3",
            endpoint_url=where["s3_tls"] if tls else where["s3"],
            region_name=where["default_region"],
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            verify=self.manifest["ca_file"] if tls else None,
            config=Config(retries={"max_attempts": 1}, read_timeout=120, proxies={}),
        )
        if source:
            # botocore has no setting for the source address; urllib3 below it does, and takes it for every connection
            # that the pool opens from here on.
            client._endpoint.http_session._manager.connection_pool_kw["source_address"] = (source, 0)
        return client

    def awscli(self, *words, gateway="cn", tenant="a", tls=False):
        """Runs `aws`; its output."""
        where = self.gateways[f"gateway-{gateway}"]
        environment = dict(
            os.environ,
            AWS_SHARED_CREDENTIALS_FILE=self.manifest["credentials_file"],
            AWS_PROFILE=f"uploader-{tenant}",
            AWS_CONFIG_FILE="/dev/null",
            AWS_DEFAULT_REGION=where["default_region"],
            AWS_CA_BUNDLE=self.manifest["ca_file"],
            AWS_EC2_METADATA_DISABLED="true",
        )
        command = [sys.executable, "-m", "awscli", "--endpoint-url", where["s3_tls"] if tls else where["s3"], *words]
        return run(command, environment)

    def arrow(self, gateway="cn", tenant="a"):
        """A pyarrow filesystem."""
        access, secret = self.keys(tenant)
        where = self.gateways[f"gateway-{gateway}"]
        return pyarrow.fs.S3FileSystem(
            access_key=access,
            secret_key=secret,
            endpoint_override=where["s3"].removeprefix("http://"),
            scheme="http",
            region=where["default_region"],
        )

    def curl(self, url, source):
        """GET with curl, over a presigned URL, from `source`: the HTTP status and the body."""
        command = ["curl", "--silent", "--noproxy", "*", "--interface", source, "--write-out", "\n%{http_code}", url]
        body, status = run(command).rsplit("\n", 1)
        return int(status), body

    # ---- the program -------------------------------------------------------------------------------------------------

    def domicile(self, *words, gateway="cn", token="officer", fails=False):
        """Runs the program's own command line against a gateway. With `fails` the output of a run that must fail."""
        environment = dict(
            os.environ,
            DOMICILE_ADMIN=self.gateways[f"gateway-{gateway}"]["admin"],
            DOMICILE_TOKEN=self.tokens[token],
        )
        return run([self.program, *words], environment, fails)

    def json(self, *words, **how):
        return json.loads(self.domicile(*words, "--json", **how))

    def where(self, key, bucket=None, gateway="cn"):
        return self.json("where", f"s3://{bucket or self.bucket}/{key}", gateway=gateway)

    def log_size(self, gateway="cn"):
        return fetch(f"{self.gateways[f'gateway-{gateway}']['admin']}/v1/health")["log_entries"]

    def entries(self, since, *words, gateway="cn"):
        """Entries of the log from index `since` on, filtered by what `words` say."""
        found = []
        while since is not None:
            page = self.json("audit", "list", "--from", str(since), "--limit", "1000", *words, gateway=gateway)
            found += page["entries"]
            since = page.get("next")
        return found

    # ---- the processes -----------------------------------------------------------------------------------------------

    def control(self, path, body=None, method="POST"):
        control = self.manifest["control"]
        return fetch(f"{control['url']}/{path}", method, body, control["token"])

    def process(self, name, action):
        return self.control(f"processes/{name}/{action}")

    def restart(self, *names):
        """Starts nodes that were stopped, and waits until each answers: a gateway may take one for up that just went down."""
        for name in names:
            self.process(name, "start")
        until = time.monotonic() + 60
        for name in names:
            while True:
                try:
                    self.status(name)
                    break
                except Mismatch:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.1)
        self.control("healthy")

    def ask(self, node, cid, ticket=None, gateway="gateway-cn"):
        """Asks a node for a shard, in the gateway's name (or a stranger's, with None), with the ticket given."""
        return self.control("ask", {"gateway": gateway, "node": node, "cid": cid, "ticket": ticket})

    def status(self, node):
        return self.control(f"nodes/{node}/status", method="GET")

    def served_bytes(self, nodes):
        """Shard bytes that the nodes ever served."""
        return sum(self.status(node)["served"]["bytes"] for node in nodes)


def fetch(url, method="GET", body=None, token=None):
    """JSON over HTTP, to this machine only."""
    request = urllib.request.Request(url, method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=180) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise Mismatch(f"{method} {url} answered {error.code}: {error.read().decode(errors='replace')}") from error


def run(command, environment=None, fails=False):
    """Runs a command; standard output, or everything that was said where it must fail."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    shown = " ".join(str(word) for word in command)
    if fails:
        expect_that(f"{shown} must fail", done.returncode != 0, done.stdout)
        return done.stdout + done.stderr
    if done.returncode != 0:
        raise Mismatch(f"{shown} ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def refusal(call, *arguments, **named):
    """The status, code and message with which S3 refuses a call."""
    try:
        call(*arguments, **named)
    except ClientError as error:
        answer = error.response
        return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"].get("Message", "")
    return 200, "", "it was allowed"


def digest_of_stream(stream):
    digest = hashlib.sha256()
    while piece := stream.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def digest_of_file(path):
    with open(path, "rb") as file:
        return digest_of_stream(file)
