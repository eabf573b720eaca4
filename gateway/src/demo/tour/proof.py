"""Evidence for an auditor elsewhere: a bundle, checked by two verifiers, its decisions decided again; and what is forgotten."""

import os
import pathlib
import shutil
import subprocess
import time

from clients import expect, expect_that, run

# Where Debian keeps the sources of Go packages.
GOPATH = "/usr/share/gocode"


def a_bundle_of_this_tour_holds_by_two_verifiers_that_share_no_code(demo):
    folder = demo.folder / "tour" / "evidence"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    demo.domicile("audit", "export", str(folder / "early"))
    demo.s3().get_object(Bucket=demo.bucket, Key="images.tar")["Body"].read()
    demo.notes["evidence"] = folder / "bundle"
    # All of this run: its bucket's name begins with the time.
    day = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.strptime(demo.run, "%Y%m%d-%H%M%S"))
    made = demo.json("audit", "bundle", "--from", day, "--out", str(folder / "bundle"), token="auditor")
    yield f"made by an auditor; its seal {made['manifest_sha256'][:16]}... is entry {made['sealed_at']}"
    sealed = demo.json("audit", "show", made["sealed_at"])
    expect("the seal in the log", made["manifest_sha256"], sealed["hash"])
    # On another machine: no gateway, no token, only the key.
    key = (folder / "early" / "log.vkey").read_text().strip()
    verified = offline(demo, "audit", "verify", str(folder / "bundle"), "--key", key)
    yield from verified.strip().splitlines()[:3]
    demo.notes["second"] = second_verifier(demo)
    early = str(folder / "early" / "checkpoint")
    yield f"x/mod/sumdb: {run([demo.notes['second'], folder / 'bundle', early]).strip()}"


def one_changed_byte_of_a_bundle_fails_both_verifiers(demo):
    bundle = demo.notes["evidence"].parent / "one-byte"
    shutil.copytree(demo.notes["evidence"], bundle)
    entries = sorted(path for path in (bundle / "log/tile/entries").rglob("*") if path.is_file())[-1]
    content = bytearray(entries.read_bytes())
    content[len(content) // 2] ^= 1
    entries.write_bytes(content)
    said = offline(demo, "audit", "verify", str(bundle), fails=True)
    expect_that("an entry is named", "was changed" in said, said)
    yield " ".join(said.split())
    yield f"x/mod/sumdb: {run([demo.notes['second'], bundle], fails=True).strip()}"


def every_decision_of_the_tour_is_decided_alike_again(demo):
    live = demo.json("audit", "replay", token="auditor")
    expect("decisions of the log that come to something else", [], live["differences"])
    yield f"live: {live['decisions']} decisions, {live['same']} the same, denied by others: {live['denied_by']}"
    said = offline(demo, "audit", "replay", str(demo.notes["evidence"]))
    yield f"from the bundle, offline: {said.strip()}"


def an_actor_is_erased_and_the_log_holds_as_before(demo):
    since = demo.log_size()
    demo.s3().head_object(Bucket=demo.bucket, Key="images.tar")
    entry = demo.entries(since, "--kind", "intent", "--operation", "head-object", "--bucket", demo.bucket)[0]["index"]
    actor = demo.json("audit", "show", str(entry))["opened"]["actor"]
    reason = "request of the person concerned"
    said = demo.domicile("audit", "erase", "--actor", actor, "--reason", reason, token="officer", fails=True)
    expect_that("an officer may not erase", "role" in said, said)
    erased = demo.json("audit", "erase", "--actor", actor, "--reason", reason, token="security-admin")
    expect_that("something was erased", erased["commitments"] > 0, erased)
    expect("what the entry opens to", "erased", demo.json("audit", "show", str(entry))["opened"]["actor"])
    yield f"{erased['commitments']} commitments to {actor} no longer open (entries {erased['log_indices']})"
    yield demo.domicile("audit", "verify").strip()


def offline(demo, *words, fails=False):
    """The program on a machine that knows nothing of the gateway."""
    named = ("DOMICILE_ADMIN", "DOMICILE_TOKEN")
    environment = {name: value for name, value in os.environ.items() if name not in named}
    return run([demo.program, *words], environment, fails)


def second_verifier(demo):
    """Builds the Go program that lies beside this file, from Debian's packages alone."""
    source = pathlib.Path(__file__).with_name("verify.go")
    program = demo.folder / "tour" / "verify-with-go"
    cache = demo.folder / "tour" / "go-cache"
    environment = dict(os.environ, GO111MODULE="off", GOPATH=GOPATH, GOFLAGS="", GOCACHE=str(cache))
    command = ["go", "build", "-o", str(program), str(source)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    expect_that("the second verifier builds (Debian: golang-go golang-golang-x-mod-dev)", done.returncode == 0, done.stderr)
    return str(program)


STEPS = [
    a_bundle_of_this_tour_holds_by_two_verifiers_that_share_no_code,
    one_changed_byte_of_a_bundle_fails_both_verifiers,
    every_decision_of_the_tour_is_decided_alike_again,
    an_actor_is_erased_and_the_log_holds_as_before,
]
