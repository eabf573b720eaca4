"""obstore: Rust's object_store under Python."""

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

import kit


def main(s3):
    client = {"allow_http": not s3.secure}
    if s3.ca_file:
        client["root_certificate"] = open(s3.ca_file, "rb").read()
    store = S3Store(
        s3.bucket,
        endpoint=s3.endpoint,
        region=s3.region,
        access_key_id=s3.access_key,
        secret_access_key=s3.secret_key,
        virtual_hosted_style_request=False,
        client_options=client,
    )
    photos = kit.files(s3.photos)
    for path in photos:
        obstore.put(store, f"photos/{path}", s3.photos / path, mode="create")
    listed = [entry["path"] for page in obstore.list(store, "photos") for entry in page]
    kit.expect("what LIST shows", sorted(f"photos/{path}" for path in photos), sorted(listed))
    for path in photos:
        kit.expect(f"bytes of {path}", photos[path], kit.sha256(obstore.get(store, f"photos/{path}").bytes()))
    try:
        obstore.put(store, listed[0], b"other", mode="create")
        raise kit.Mismatch("create replaced an object")
    except AlreadyExistsError:
        pass
    print(f"{len(photos)} photographs, create-if-absent, refused the second time")

    content = s3.csv.read_bytes()
    obstore.put(store, "flights.csv", content, use_multipart=True, chunk_size=5 << 20)
    kit.expect("flights.csv", kit.sha256(content), kit.sha256(obstore.get(store, "flights.csv").bytes()))
    ranges = obstore.get_ranges(store, "flights.csv", starts=[0, 9_999_000, 25_000_000], lengths=[10, 2000, 500])
    expected = [content[0:10], content[9_999_000:10_001_000], content[25_000_000:25_000_500]]
    kit.expect("three ranges", expected, [bytes(piece) for piece in ranges])
    obstore.copy(store, "flights.csv", "copy.csv")
    kit.expect("size of the copy", len(content), obstore.head(store, "copy.csv")["size"])
    obstore.delete(store, listed)
    kit.expect("what is left", ["copy.csv", "flights.csv"], sorted(e["path"] for p in obstore.list(store) for e in p))
    print("flights.csv by multipart of 5 MiB, ranges, copy, delete of many")


kit.run(main)
