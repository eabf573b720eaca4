"""Every S3 operation that the gateway serves, asked for from abroad: none passes without a decision in the log."""

import datetime

from botocore import xform_name
from botocore.exceptions import ClientError

from clients import GERMANY, expect_that

# What each operation is decided and logged as. A test holds this against the gateway's own table.
KINDS = {
    "AbortMultipartUpload": "abort-multipart-upload",
    "CompleteMultipartUpload": "complete-multipart-upload",
    "CopyObject": "copy-object",
    "CreateBucket": "create-bucket",
    "CreateMultipartUpload": "create-multipart-upload",
    "DeleteBucket": "delete-bucket",
    "DeleteBucketCors": "configure-bucket",
    "DeleteBucketEncryption": "configure-bucket",
    "DeleteBucketLifecycle": "configure-bucket",
    "DeleteBucketOwnershipControls": "configure-bucket",
    "DeleteBucketPolicy": "configure-bucket",
    "DeleteBucketTagging": "configure-bucket",
    "DeleteObject": "delete-object",
    "DeleteObjectTagging": "tag-object",
    "DeleteObjects": "delete-object",
    "DeletePublicAccessBlock": "configure-bucket",
    "GetBucketAccelerateConfiguration": "head-bucket",
    "GetBucketAcl": "head-bucket",
    "GetBucketAnalyticsConfiguration": "head-bucket",
    "GetBucketCors": "head-bucket",
    "GetBucketEncryption": "head-bucket",
    "GetBucketIntelligentTieringConfiguration": "head-bucket",
    "GetBucketInventoryConfiguration": "head-bucket",
    "GetBucketLifecycleConfiguration": "head-bucket",
    "GetBucketLocation": "head-bucket",
    "GetBucketLogging": "head-bucket",
    "GetBucketMetricsConfiguration": "head-bucket",
    "GetBucketNotificationConfiguration": "head-bucket",
    "GetBucketOwnershipControls": "head-bucket",
    "GetBucketPolicy": "head-bucket",
    "GetBucketPolicyStatus": "head-bucket",
    "GetBucketReplication": "head-bucket",
    "GetBucketRequestPayment": "head-bucket",
    "GetBucketTagging": "head-bucket",
    "GetBucketVersioning": "head-bucket",
    "GetBucketWebsite": "head-bucket",
    "GetObject": "get-object",
    "GetObjectAcl": "head-object",
    "GetObjectAttributes": "head-object",
    "GetObjectLegalHold": "head-object",
    "GetObjectLockConfiguration": "head-bucket",
    "GetObjectRetention": "head-object",
    "GetObjectTagging": "head-object",
    "GetPublicAccessBlock": "head-bucket",
    "HeadBucket": "head-bucket",
    "HeadObject": "head-object",
    "ListBucketAnalyticsConfigurations": "head-bucket",
    "ListBucketIntelligentTieringConfigurations": "head-bucket",
    "ListBucketInventoryConfigurations": "head-bucket",
    "ListBucketMetricsConfigurations": "head-bucket",
    "ListBuckets": "list-buckets",
    "ListMultipartUploads": "list-uploads",
    "ListObjectVersions": "list-objects",
    "ListObjects": "list-objects",
    "ListObjectsV2": "list-objects",
    "ListParts": "list-uploads",
    "PutBucketAcl": "configure-bucket",
    "PutBucketCors": "configure-bucket",
    "PutBucketEncryption": "configure-bucket",
    "PutBucketLifecycleConfiguration": "configure-bucket",
    "PutBucketLogging": "configure-bucket",
    "PutBucketNotificationConfiguration": "configure-bucket",
    "PutBucketOwnershipControls": "configure-bucket",
    "PutBucketPolicy": "configure-bucket",
    "PutBucketTagging": "configure-bucket",
    "PutBucketVersioning": "configure-bucket",
    "PutObject": "put-object",
    "PutObjectAcl": "tag-object",
    "PutObjectLegalHold": "tag-object",
    "PutObjectLockConfiguration": "configure-bucket",
    "PutObjectRetention": "tag-object",
    "PutObjectTagging": "tag-object",
    "PutPublicAccessBlock": "configure-bucket",
    "UploadPart": "upload-part",
    "UploadPartCopy": "upload-part",
}

# The bucket's own end comes last, and what others need before them.
LAST = ["CompleteMultipartUpload", "AbortMultipartUpload", "DeleteObject", "DeleteObjects", "DeleteBucket"]

# Older names, which are the same requests.
ALIASES = {"GetBucketLifecycle", "GetBucketNotification", "PutBucketLifecycle", "PutBucketNotification"}

# To bring, to end and to mark data is not to be told of any: the law lets anybody do it, from anywhere.
BRINGS = {"AbortMultipartUpload", "CompleteMultipartUpload", "PutObject", "PutObjectRetention", "UploadPart"}

# The source of a copy is decided, and denied, before the part is.
ALSO = {"UploadPartCopy": {"copy-object"}}


def every_operation_from_abroad_is_decided_and_logged_under_its_own_request(demo):
    home, far = demo.s3(), demo.s3(source=GERMANY)
    bucket, locked = f"{demo.bucket}-walk", f"{demo.bucket}-walk-locked"
    home.create_bucket(Bucket=bucket)
    home.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    for each in [bucket, locked]:
        home.put_object(Bucket=each, Key="k", Body=b"flight log")
    upload = home.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    part = home.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    arguments = special(bucket, locked, upload, part)
    denied, unlogged = 0, []
    for operation in [name for name in KINDS if name not in LAST] + LAST:
        status, _, request = ask(far, operation, arguments.get(operation) or plain(far, operation, bucket))
        entries = demo.json("audit", "list", "--request", request)["entries"]
        wanted = {KINDS[operation]} | ALSO.get(operation, set())
        if not any(entry.get("kind") in ("intent", "denied") and entry.get("operation") in wanted for entry in entries):
            unlogged.append(f"{operation} ({status})")
        denied += status == 451
    expect_that("operations without a decision in the log", not unlogged, ", ".join(unlogged))
    yield f"{len(KINDS)} operations, {denied} of them denied to Germany, each with its entry under its own request id"


def what_comes_to_nothing_is_decided_and_logged_too(demo):
    """A failure tells of what is stored: whom the law tells nothing of that, is not told why it failed."""
    home, far, bucket = demo.s3(), demo.s3(source=GERMANY), f"{demo.bucket}-walk-nothing"
    home.create_bucket(Bucket=bucket)
    etag = home.put_object(Bucket=bucket, Key="k", Body=b"flight log")["ETag"]
    one, parts = {"Bucket": bucket, "Key": "k"}, {"Parts": [{"ETag": etag, "PartNumber": 1}]}
    nowhere = {"Bucket": bucket, "Key": "m", "UploadId": "ab" * 16}
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    cases = [
        ("UploadPart", {**nowhere, "PartNumber": 1, "Body": b"part"}, 404),
        ("UploadPartCopy", {**nowhere, "PartNumber": 1, "CopySource": f"{bucket}/k"}, 404),
        ("CompleteMultipartUpload", {**nowhere, "MultipartUpload": parts}, 404),
        ("AbortMultipartUpload", nowhere, 404),
        ("ListParts", nowhere, 404),
        ("ListParts", {**nowhere, "UploadId": "of-another-form"}, 404),
        ("GetObject", {"Bucket": bucket, "Key": "none"}, 404),
        ("HeadObject", {"Bucket": bucket, "Key": "none"}, 404),
        ("GetObject", {**one, "IfNoneMatch": etag}, 304),
        ("GetObject", {**one, "IfMatch": '"0"'}, 412),
        ("GetObject", {**one, "Range": "bytes=100-"}, 416),
        ("GetObject", {**one, "PartNumber": 2}, 400),
        ("CopyObject", {"Bucket": bucket, "Key": "c", "CopySource": f"{bucket}/k", "CopySourceIfMatch": '"0"'}, 412),
        ("PutObject", {**one, "Body": b"", "ObjectLockLegalHoldStatus": "ON"}, 400),
        ("GetObjectLegalHold", one, 400),
        ("PutObjectRetention", {**one, "Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": soon}}, 400),
    ]
    wrong = []
    for operation, arguments, status in cases:
        for client, expected in [(home, status), (far, status if operation in BRINGS else 451)]:
            told, code, request = ask(client, operation, arguments)
            entries = demo.json("audit", "list", "--request", request)["entries"]
            decided = any(entry.get("kind") in ("intent", "denied") for entry in entries)
            if told != expected or not decided:
                wrong.append(f"{operation} {arguments}: {told} {code} for {expected}, entries {entries}")
    expect_that("failures that are told or logged otherwise", not wrong, "; ".join(wrong))
    yield f"{len(cases)} ways to fail, each told at home, denied to Germany where it tells, and each with its entry"


def operations_that_are_not_served_are_refused_and_none_is_forgotten(demo):
    s3, bucket, refused = demo.s3(), f"{demo.bucket}-walk", 0
    for operation in s3.meta.service_model.operation_names:
        required = set(s3.meta.service_model.operation_model(operation).input_shape.required_members)
        if operation in KINDS or operation in ALIASES or not required <= {"Bucket", "Key", "Id"}:
            continue
        _, code, _ = ask(s3, operation, plain(s3, operation, bucket))
        expect_that(f"{operation} is refused as not implemented", code == "NotImplemented", code)
        refused += 1
    yield f"{refused} operations that S3 has and the gateway does not"


def ask(s3, operation, arguments):
    """Status, code and request id of an answer, whatever it is."""
    try:
        answer, code = getattr(s3, xform_name(operation))(**arguments), ""
    except ClientError as error:
        answer, code = error.response, error.response["Error"].get("Code", "")
    told = answer["ResponseMetadata"]
    return told["HTTPStatusCode"], code, told["HTTPHeaders"]["x-amz-request-id"]


def plain(s3, operation, bucket):
    """The least that an operation takes."""
    shape = s3.meta.service_model.operation_model(operation).input_shape
    return {name: {"Bucket": bucket, "Key": "k", "Id": "i"}[name] for name in shape.required_members}


def special(bucket, locked, upload, part):
    """What operations take that need more than a name."""
    one, held = {"Bucket": bucket, "Key": "k"}, {"Bucket": locked, "Key": "k"}
    of_upload = {"Bucket": bucket, "Key": "m", "UploadId": upload}
    tags = {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}}
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    cors = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://flights.example"]}]}
    rule = {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "q/"}, "Expiration": {"Days": 10}}
    seal = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    allow = f'{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{bucket}/*"}}'
    policy = f'{{"Version":"2012-10-17","Statement":[{allow}]}}'
    in_bucket = {
        "PutBucketAcl": {"ACL": "private"},
        "PutBucketCors": {"CORSConfiguration": cors},
        "PutBucketEncryption": {"ServerSideEncryptionConfiguration": seal},
        "PutBucketLifecycleConfiguration": {"LifecycleConfiguration": {"Rules": [rule]}},
        "PutBucketLogging": {"BucketLoggingStatus": {}},
        "PutBucketNotificationConfiguration": {"NotificationConfiguration": {}},
        "PutBucketOwnershipControls": {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
        "PutBucketPolicy": {"Policy": policy},
        "PutBucketTagging": tags,
        "PutBucketVersioning": {"VersioningConfiguration": {"Status": "Enabled"}},
        "PutPublicAccessBlock": {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
        "DeleteObjects": {"Delete": {"Objects": [{"Key": "none"}]}},
        "PutObject": {"Key": "far", "Body": b"flight log"},
        "CopyObject": {"Key": "copy", "CopySource": f"{bucket}/k"},
        "CreateMultipartUpload": {"Key": "n"},
    }
    parts = {"MultipartUpload": {"Parts": [{"ETag": part, "PartNumber": 1}]}}
    return {name: {"Bucket": bucket, **more} for name, more in in_bucket.items()} | {
        "ListBuckets": {"MaxBuckets": 1000},
        "CreateBucket": {"Bucket": f"{bucket}-far"},
        "PutObjectAcl": {**one, "ACL": "private"},
        "PutObjectTagging": {**one, **tags},
        "GetObjectAttributes": {**one, "ObjectAttributes": ["ETag"]},
        "GetObjectLegalHold": held,
        "GetObjectRetention": held,
        "PutObjectLegalHold": {**held, "LegalHold": {"Status": "OFF"}},
        "PutObjectRetention": {**held, "Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": soon}},
        "GetObjectLockConfiguration": {"Bucket": locked},
        "PutObjectLockConfiguration": {
            "Bucket": locked,
            "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"},
        },
        "ListParts": of_upload,
        "UploadPart": {**of_upload, "PartNumber": 3, "Body": b"part"},
        "UploadPartCopy": {**of_upload, "PartNumber": 2, "CopySource": f"{bucket}/k"},
        "CompleteMultipartUpload": {**of_upload, **parts},
        "AbortMultipartUpload": of_upload,
    }


STEPS = [
    every_operation_from_abroad_is_decided_and_logged_under_its_own_request,
    what_comes_to_nothing_is_decided_and_logged_too,
    operations_that_are_not_served_are_refused_and_none_is_forgotten,
]
