"""The law: where shards may be, who may read, and what the log keeps of those who may not."""

import pyarrow.feather
import pyarrow.parquet

from clients import (
    ABROAD,
    CHINA,
    GERMANY,
    digest_of_file,
    digest_of_stream,
    expect,
    expect_that,
    mebibytes,
    refusal,
)
from versions import all_versions

# What one request deletes at the most.
KEYS_AT_ONCE = 1_000
EEA = {"DE", "FR", "NL", "IE"}
DENIED = 451
DENIED_CODE = "UnavailableForLegalReasons"
# What the guideline on data export says of reading from abroad.
LIMB = 2
US_PLACES = {"US", "SG", "DE", "FR", "NL", "IE", "TW"}
CITATION = "limb 2: query, retrieval, download from abroad"


def what_earlier_tours_left_can_be_deleted(demo):
    """Keeps the folder from growing, run after run."""
    removed = 0
    for gateway in ["cn", "eu"]:
        s3 = demo.s3(gateway)
        for bucket in s3.list_buckets()["Buckets"]:
            if not bucket["Name"].startswith("tour-"):
                continue
            for upload in s3.list_multipart_uploads(Bucket=bucket["Name"]).get("Uploads", []):
                s3.abort_multipart_upload(Bucket=bucket["Name"], Key=upload["Key"], UploadId=upload["UploadId"])
            left = all_versions(s3, bucket["Name"])
            for first in range(0, len(left), KEYS_AT_ONCE):
                some = {"Objects": left[first : first + KEYS_AT_ONCE]}
                s3.delete_objects(Bucket=bucket["Name"], Delete=some, BypassGovernanceRetention=True)
            s3.delete_bucket(Bucket=bucket["Name"])
            removed += 1
    yield f"{removed} buckets of earlier runs"


def four_clients_store_the_data_in_china_over_http_and_tls(demo):
    """boto3 by multipart over HTTP and whole over TLS, awscli over TLS, pyarrow by its own multipart."""
    s3 = demo.s3()
    s3.create_bucket(Bucket=demo.bucket, CreateBucketConfiguration={"LocationConstraint": "cn"})
    s3.upload_file(str(demo.files["flights.parquet"]), demo.bucket, "flights.parquet")
    etag = s3.head_object(Bucket=demo.bucket, Key="flights.parquet")["ETag"].strip('"')
    expect_that("the large object came by multipart", "-" in etag, etag)
    yield f"boto3, HTTP: flights.parquet in {etag.split('-')[1]} parts"
    with open(demo.files["images.tar"], "rb") as body:
        demo.s3(tls=True).put_object(Bucket=demo.bucket, Key="images.tar", Body=body)
    yield "boto3, TLS: images.tar, whole"
    csv = str(demo.files["flights.csv"])
    demo.awscli("s3", "cp", "--only-show-errors", csv, f"s3://{demo.bucket}/flights.csv", tls=True)
    yield "awscli, TLS: flights.csv"
    stream = demo.arrow().open_output_stream(f"{demo.bucket}/flights.arrow")
    with stream as out, open(demo.files["flights.arrow"], "rb") as file:
        while piece := file.read(4 << 20):
            out.write(piece)
    yield "pyarrow, HTTP: flights.arrow"
    listed = {entry["Key"]: entry["Size"] for entry in s3.list_objects_v2(Bucket=demo.bucket)["Contents"]}
    expect("what LIST shows", {name: path.stat().st_size for name, path in demo.files.items()}, listed)
    expect("its region", "cn", s3.get_bucket_location(Bucket=demo.bucket)["LocationConstraint"])


def every_shard_is_in_china_on_controllers_of_their_own(demo):
    for key in demo.files:
        found = demo.where(key)
        expect(f"packs of {key}", ["cn-data-export"], found["packs"])
        yield f"{key}: {check_spread(found, {'CN'})}; code {', '.join(found['profiles'])}, {found['durability']}"


def check_spread(found, places):
    """Every shard in one of `places`, no controller twice within a segment; a sentence that says so."""
    segments = {}
    for shard in found["shards"]:
        expect_that(f"shard {shard['cid']} is in {sorted(places)}", shard["place"] in places, shard["place"])
        segments.setdefault((shard["part"], shard["segment"]), []).append(shard)
    expect_that("there are shards", bool(segments), found)
    for name, shards in segments.items():
        controllers = {shard["controller"] for shard in shards}
        expect(f"controllers of segment {name}", len(shards), len(controllers))
    nodes = {shard["node"] for shard in found["shards"]}
    seen = sorted({shard["place"] for shard in found["shards"]})
    return f"{len(found['shards'])} shards of {len(segments)} segments on {len(nodes)} nodes in {' '.join(seen)}"


def boto3_awscli_and_pyarrow_read_back_the_same_bytes(demo):
    expected = demo.notes["digests"]
    demo.notes["log_before_reads"] = demo.log_size()
    for name in demo.files:
        body = demo.s3(tls=name == "images.tar").get_object(Bucket=demo.bucket, Key=name)["Body"]
        expect(f"SHA-256 of {name} by boto3", expected[name], digest_of_stream(body))
    yield f"boto3: {len(demo.files)} objects"
    copy = demo.folder / "data" / "read-back"
    demo.awscli("s3", "cp", "--only-show-errors", f"s3://{demo.bucket}/flights.parquet", str(copy), tls=True)
    expect("SHA-256 of flights.parquet by awscli", expected["flights.parquet"], digest_of_file(copy))
    copy.unlink()
    yield "awscli: flights.parquet, parallel ranges over TLS"
    arrow = demo.arrow()
    with arrow.open_input_stream(f"{demo.bucket}/flights.csv") as stream:
        expect("SHA-256 of flights.csv by pyarrow", expected["flights.csv"], digest_of_stream(stream))
    rows = pyarrow.feather.read_table(arrow.open_input_file(f"{demo.bucket}/flights.arrow"))
    stored = pyarrow.feather.read_table(demo.files["flights.arrow"])
    expect_that("the table read is the table stored", rows.equals(stored), rows.num_rows)
    yield f"pyarrow: flights.csv, and flights.arrow as a table of {rows.num_rows:,} rows"


def a_range_read_moves_fewer_shard_bytes_than_the_object_has(demo):
    """One row group of the large table, by pyarrow; the nodes count what they serve."""
    nodes = [name for name, node in demo.nodes.items() if node["place"] == "CN"]
    size = demo.files["flights.parquet"].stat().st_size
    before = demo.served_bytes(nodes)
    with demo.arrow().open_input_file(f"{demo.bucket}/flights.parquet") as file:
        group = pyarrow.parquet.ParquetFile(file).read_row_group(7)
    served = demo.served_bytes(nodes) - before
    stored = pyarrow.parquet.ParquetFile(demo.files["flights.parquet"]).read_row_group(7)
    expect_that("the rows are those of the file", group.equals(stored), group.num_rows)
    expect_that(f"shard bytes served, of an object of {size} bytes", 0 < served < size / 4, served)
    yield f"{group.num_rows:,} rows: {mebibytes(served)} of shards served, of an object of {mebibytes(size)}"
    before = demo.served_bytes(nodes)
    wanted = "bytes=100000000-100065535"
    body = demo.s3().get_object(Bucket=demo.bucket, Key="flights.parquet", Range=wanted)["Body"].read()
    served = demo.served_bytes(nodes) - before
    with open(demo.files["flights.parquet"], "rb") as file:
        file.seek(100_000_000)
        expect_that("the bytes are those of the file", body == file.read(65_536), len(body))
    # Five chunks of 16 KiB at the most cover 64 KiB at any offset; some more are allowed for a retry.
    expect_that("shard bytes served for a range of 64 KiB", 65_536 <= served <= 262_144, served)
    yield f"a range of 64 KiB: {served:,} bytes of shards served"


def reads_from_germany_hong_kong_macao_and_taiwan_are_refused_with_their_rule(demo):
    demo.notes["log_before_abroad"] = demo.log_size()
    for place, address in ABROAD.items():
        s3 = demo.s3(source=address)
        status, code, message = refusal(s3.get_object, Bucket=demo.bucket, Key="images.tar")
        expect(f"GET from {place}", (DENIED, DENIED_CODE), (status, code))
        expect_that("the message names the rule", "export-by-access-from-abroad" in message, message)
        expect_that("the message cites the guideline", CITATION in message, message)
        status, _, _ = refusal(s3.head_object, Bucket=demo.bucket, Key="images.tar")
        expect(f"HEAD from {place}", DENIED, status)
        status, code, _ = refusal(s3.list_objects_v2, Bucket=demo.bucket)
        expect(f"LIST from {place}", (DENIED, DENIED_CODE), (status, code))
        url = demo.s3().generate_presigned_url("get_object", Params={"Bucket": demo.bucket, "Key": "images.tar"})
        status, body = demo.curl(url, address)
        expect(f"GET with curl from {place}", DENIED, status)
        expect_that("curl sees the S3 error", f"<Code>{DENIED_CODE}</Code>" in body, body[:200])
        yield f"{place} ({address}): GET, HEAD, LIST and a presigned GET answered {DENIED}"
    yield f"GET from {place} said: {message}"
    body = demo.s3(source=CHINA).get_object(Bucket=demo.bucket, Key="images.tar")["Body"]
    expect("SHA-256 from elsewhere in CN", demo.notes["digests"]["images.tar"], digest_of_stream(body))
    yield f"CN ({CHINA}): read"


def the_log_holds_each_attempt_as_an_export_event_by_limb_two(demo):
    since = demo.notes["log_before_abroad"]
    entries = demo.entries(since, "--exports", "--kind", "denied")
    for place in ABROAD:
        for operation, count in [("get-object", 2), ("head-object", 1), ("list-objects", 1)]:
            found = [e for e in entries if e["requester_places"] == [place] and e["operation"] == operation]
            expect(f"denied entries of {operation} from {place}", count, len(found))
            for entry in found:
                rule = rule_of_limb_two(entry)
                expect_that(f"entry {entry['index']} cites the guideline", CITATION in rule["cite"], rule)
    one = demo.json("audit", "show", str(entries[0]["index"]))
    expect("the bucket that an officer sees in it", demo.bucket, one["opened"]["bucket"])
    expect_that("the leaf itself names no bucket", demo.bucket not in str(one["bucket"]), one["bucket"])
    rule = rule_of_limb_two(entries[0])
    yield f"{len(entries)} export events, entries {entries[0]['index']} to {entries[-1]['index']}"
    what = f"{entries[0]['operation']} from {entries[0]['requester_places'][0]}"
    yield f"entry {entries[0]['index']}: {what}, {rule['pack']}/{rule['rule']}: {rule['cite']}"


def rule_of_limb_two(entry):
    """The rule that calls the attempt an export by being open to those abroad."""
    rules = entry["decision"]["rules"]
    found = [rule for rule in rules if rule.get("limb") == LIMB and rule["rule"] == "export-by-access-from-abroad"]
    expect_that(f"entry {entry['index']} names limb {LIMB}", len(found) == 1, rules)
    return found[0]


def another_tenant_sees_nothing_of_it(demo):
    status, code, _ = refusal(demo.s3(tenant="b").get_object, Bucket=demo.bucket, Key="images.tar")
    expect("GET by tenant b", (403, "AccessDenied"), (status, code))
    names = [bucket["Name"] for bucket in demo.s3(tenant="b").list_buckets()["Buckets"]]
    expect_that("buckets of tenant b", demo.bucket not in names, names)
    yield f"GET answered {status} {code}"


def a_bucket_of_region_eu_is_refused_in_china_where_its_plaintext_would_be(demo):
    status, code, message = refusal(
        demo.s3().create_bucket, Bucket=f"{demo.bucket}-eu", CreateBucketConfiguration={"LocationConstraint": "eu"}
    )
    expect("CreateBucket at gateway cn", (DENIED, DENIED_CODE), (status, code))
    expect_that("the message names the rule", "third-country-processing" in message, message)
    yield message
    status, code, message = refusal(
        demo.s3().create_bucket, Bucket=f"{demo.bucket}-mars", CreateBucketConfiguration={"LocationConstraint": "mars"}
    )
    expect("CreateBucket in a region that is not there", (400, "InvalidLocationConstraint"), (status, code))
    yield f"region mars: {code}: {message}"


def the_same_bucket_works_in_germany_and_stays_in_the_eea(demo):
    bucket = f"{demo.bucket}-eu"
    s3 = demo.s3("eu")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu"})
    s3.upload_file(str(demo.files["images.tar"]), bucket, "images.tar")
    body = demo.s3("eu", tls=True, source=GERMANY).get_object(Bucket=bucket, Key="images.tar")["Body"]
    expect("SHA-256 read from DE over TLS", demo.notes["digests"]["images.tar"], digest_of_stream(body))
    yield f"images.tar: {check_spread(demo.where('images.tar', bucket, 'eu'), EEA)}"
    status, code, message = refusal(demo.s3("eu", source=CHINA).get_object, Bucket=bucket, Key="images.tar")
    expect("GET from CN", (DENIED, DENIED_CODE), (status, code))
    yield f"GET from CN: {message}"


def a_bucket_of_region_us_is_kept_from_countries_of_concern_wherever_they_touch_it(demo):
    """28 CFR 202 asks who can get at data, not where it lies: plaintext, shards and readers, each by its own rule."""
    bucket = f"{demo.bucket}-us"
    where = {"LocationConstraint": "us"}
    status, code, message = refusal(demo.s3().create_bucket, Bucket=bucket, CreateBucketConfiguration=where)
    expect("CreateBucket at gateway cn", (DENIED, DENIED_CODE), (status, code))
    expect_that("the message names the rule", "us-bulk-data/processing-in-country-of-concern" in message, message)
    yield f"at gateway cn: {message}"
    s3 = demo.s3("eu")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    s3.upload_file(str(demo.files["images.tar"]), bucket, "images.tar")
    yield f"images.tar: {check_spread(demo.where('images.tar', bucket, 'eu'), US_PLACES)}"
    for place, address in [("US", "127.40.0.9"), ("TW", ABROAD["TW"]), ("DE", GERMANY)]:
        body = demo.s3("eu", source=address).get_object(Bucket=bucket, Key="images.tar")["Body"]
        expect(f"SHA-256 read from {place}", demo.notes["digests"]["images.tar"], digest_of_stream(body))
    # 28 CFR 202.601 counts Hong Kong and Macao as China.
    for place, address in [("CN", CHINA), ("HK", ABROAD["HK"]), ("MO", ABROAD["MO"])]:
        status, code, message = refusal(demo.s3("eu", source=address).get_object, Bucket=bucket, Key="images.tar")
        expect(f"GET from {place}", (DENIED, DENIED_CODE), (status, code))
        expect_that("the message names the rule", "us-bulk-data/access-from-country-of-concern" in message, message)
    yield f"read from US, TW and DE; from CN, HK and MO {status}: {message}"


STEPS = [
    what_earlier_tours_left_can_be_deleted,
    four_clients_store_the_data_in_china_over_http_and_tls,
    every_shard_is_in_china_on_controllers_of_their_own,
    boto3_awscli_and_pyarrow_read_back_the_same_bytes,
    a_range_read_moves_fewer_shard_bytes_than_the_object_has,
    reads_from_germany_hong_kong_macao_and_taiwan_are_refused_with_their_rule,
    the_log_holds_each_attempt_as_an_export_event_by_limb_two,
    another_tenant_sees_nothing_of_it,
    a_bucket_of_region_eu_is_refused_in_china_where_its_plaintext_would_be,
    the_same_bucket_works_in_germany_and_stays_in_the_eea,
    a_bucket_of_region_us_is_kept_from_countries_of_concern_wherever_they_touch_it,
]
