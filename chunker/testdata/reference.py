"""A second implementation of FORMAT.md, written from its text. Makes the golden vectors in golden/.

    pip install cryptography==50.0.2 pynacl==1.6.2 blake3==1.0.11 && python3 reference.py

Slow and plain on purpose. A vector changes only with a version of the format.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import struct

import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as xchacha

GOLDEN = pathlib.Path(__file__).parent / "golden"
NAMES = {1: b"AEAD_CHACHA20_POLY1305", 2: b"AEAD_AES_256_GCM"}
AEADS = {1: ChaCha20Poly1305, 2: AESGCM}
CHUNK, SHARD_MAX = 16384, 1049600


def expand(key, info, length):
    output, block, counter = b"", b"", 1
    while len(output) < length:
        block = hmac.new(key, block + info + bytes([counter]), hashlib.sha512).digest()
        output, counter = output + block, counter + 1
    return output[:length]


def fields(*parts):
    return b"".join(struct.pack(">H", len(p)) + p for p in parts)


def u32(n):
    return struct.pack(">I", n)


def pattern(length):
    """The plaintext of every vector: byte i is i + i / 256, so that no two chunks are equal."""
    return bytes((i + (i >> 8)) & 255 for i in range(length))


# --- Reed-Solomon ---------------------------------------------------------------------------------------------------

EXP, LOG = [0] * 512, [0] * 256
value = 1
for power in range(255):
    EXP[power] = EXP[power + 255] = value
    LOG[value] = power
    value <<= 1
    if value & 0x100:
        value ^= 0x11D


def mul(a, b):
    return EXP[LOG[a] + LOG[b]] if a and b else 0


def power(a, n):
    result = 1
    for _ in range(n):
        result = mul(result, a)
    return result


def inverse(matrix):
    n = len(matrix)
    rows = [list(row) + [int(i == j) for j in range(n)] for i, row in enumerate(matrix)]
    for column in range(n):
        pivot = next(r for r in range(column, n) if rows[r][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = EXP[255 - LOG[rows[column][column]]]
        rows[column] = [mul(v, scale) for v in rows[column]]
        for r in range(n):
            if r != column and rows[r][column]:
                factor = rows[r][column]
                rows[r] = [v ^ mul(factor, p) for v, p in zip(rows[r], rows[column])]
    return [row[n:] for row in rows]


def product(a, b):
    columns = list(zip(*b))
    result = []
    for row in a:
        out = []
        for column in columns:
            total = 0
            for x, y in zip(row, column):
                total ^= mul(x, y)
            out.append(total)
        result.append(out)
    return result


def parity(data, k, m):
    vandermonde = [[power(r, c) for c in range(k)] for r in range(k + m)]
    generator = product(vandermonde, inverse(vandermonde[:k]))
    out = []
    for row in generator[k:]:
        total = 0
        for factor, shard in zip(row, data):
            table = bytes(mul(factor, v) for v in range(256))
            total ^= int.from_bytes(shard.translate(table), "big")
        out.append(total.to_bytes(len(data[0]), "big"))
    return out


# --- Segments -------------------------------------------------------------------------------------------------------


def context(place):
    return fields(b"domicile/segment/1", place["tenant"].encode(), bytes.fromhex(place["data"]),
                  bytes.fromhex(place["upload"]), u32(place["part"]), u32(place["segment"]), bytes([place["suite"]]))


def message(key, suite, salt, info):
    """The key material of a message, and its chunk function."""
    okm = expand(key, b"c2sp.org/chunked-encryption@v1+" + NAMES[suite] + b"\0" + salt + info, 76)
    aead, base, commitment = AEADS[suite](okm[:32]), int.from_bytes(okm[32:44], "big"), okm[44:]
    return commitment, lambda i, plain: aead.encrypt((base ^ i).to_bytes(12, "big"), plain, b"")


def chunks(seal, plain):
    return [seal(i, plain[i * CHUNK:(i + 1) * CHUNK]) for i in range(len(plain) // CHUNK + 1)]


def lay_out(coded, k, m):
    """Coded bytes to the n shards."""
    length = -(-len(coded) // k)
    length = -(-length // 64) * 64
    padded = coded.ljust(k * length, b"\0")
    data = [padded[i * length:(i + 1) * length] for i in range(k)]
    return data * (m + 1) if k == 1 else data + parity(data, k, m)


def segment(place, k, m, plain, key, salt):
    commitment, seal = message(key, place["suite"], salt, context(place))
    coded = chunks(seal, plain)
    final_tag = bytes(16)
    if len(plain) == k << 20:
        final_tag = coded.pop()
    return finish(place, k, m, len(plain), key, salt, commitment, final_tag, lay_out(b"".join(coded), k, m)), coded


def finish(place, k, m, length, key, salt, commitment, final_tag, shards):
    names = [blake3.blake3(s).hexdigest() for s in shards]
    return {"kind": "segment", "place": place, "profile": f"{k}+{m}", "plaintext_bytes": length, "data_key": key.hex(),
            "salt": salt.hex(), "commitment": commitment.hex(), "final_tag": final_tag.hex(),
            "cids": names[:1] if k == 1 else names, "shards": shards}


def write(name, vector, expect, with_shards=True):
    vector = dict(vector, expect=expect)
    if "shards" in vector:
        shards = vector.pop("shards")
        if with_shards:
            vector["shards"] = [base64.b64encode(s).decode() for s in shards]
    (GOLDEN / f"{name}.json").write_text(json.dumps(vector, indent=1) + "\n")


KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
SALT, OTHER_SALT = bytes(range(100, 124)), bytes(range(101, 125))
PLACE = {"tenant": "tenant-a", "data": "11" * 16, "upload": "22" * 16, "part": 0, "segment": 0, "suite": 1}
COMMITMENT, FORGED = {"error": "CommitmentMismatch"}, lambda chunk: {"error": "ChunkForged", "chunk": chunk}


def segments():
    ok = {"plaintext": "pattern"}
    small = pattern(200)
    for suite, name in NAMES.items():
        place = dict(PLACE, suite=suite)
        name = {1: "chacha20-poly1305", 2: "aes-256-gcm"}[suite]
        write(f"segment-two-chunks-{name}", segment(place, 4, 2, pattern(16484), KEY, SALT)[0], ok)
        write(f"segment-full-{name}", segment(place, 4, 2, pattern(4 << 20), KEY, SALT)[0], ok, with_shards=False)
    write("segment-whole-copies", segment(PLACE, 1, 2, small, KEY, SALT)[0], ok)
    write("segment-of-a-part", segment(dict(PLACE, part=7, segment=3), 8, 4, small, KEY, SALT)[0], ok)
    for k, m in ((16, 8), (29, 51)):
        write(f"segment-{k}+{m}", segment(PLACE, k, m, pattern(16484), KEY, SALT)[0], ok, with_shards=False)

    # The wrong key, head or place: nothing may be opened.
    good = segment(PLACE, 4, 2, small, KEY, SALT)[0]
    write("segment-wrong-key", dict(good, data_key=OTHER_KEY.hex()), COMMITMENT)
    write("segment-wrong-commitment", dict(good, commitment="00" * 32), COMMITMENT)
    write("segment-wrong-salt", dict(good, salt=OTHER_SALT.hex()), COMMITMENT)
    for field, wrong in (("tenant", "tenant-b"), ("data", "33" * 16), ("upload", "33" * 16), ("part", 1), ("suite", 2)):
        write(f"segment-wrong-context-{field}", dict(good, place=dict(PLACE, **{field: wrong})), COMMITMENT)
    swapped = segment(dict(PLACE, segment=1), 4, 2, small, KEY, SALT)[0]
    write("segment-swapped-segment", dict(swapped, place=PLACE), COMMITMENT)

    # Right head, other chunks; names and parity are made to fit, as an insider could.
    def forged(name, coded, length, expect, k=4, m=2):
        commitment, _ = message(KEY, 1, SALT, context(PLACE))
        shards = lay_out(b"".join(coded), k, m)
        write(name, finish(PLACE, k, m, length, KEY, SALT, commitment, bytes(16), shards), expect)

    coded = segment(PLACE, 4, 2, pattern(2 * CHUNK + 100), KEY, SALT)[1]
    foreign = segment(PLACE, 4, 2, pattern(2 * CHUNK + 100), KEY, OTHER_SALT)[1]
    forged("segment-truncated-after-a-chunk", [coded[0], bytes(16)], CHUNK, FORGED(1))
    forged("segment-truncated-in-a-chunk", [coded[0], coded[1][:5000] + coded[1][-16:]], CHUNK + 5000, FORGED(1))
    forged("segment-lengthened", [coded[0], coded[1], coded[2][:100] + b"\0" + coded[2][-16:]], 2 * CHUNK + 101, FORGED(2))
    forged("segment-spliced", [coded[0], foreign[1], coded[2]], 2 * CHUNK + 100, FORGED(1))
    forged("segment-swapped-chunks", [coded[1], coded[0], coded[2]], 2 * CHUNK + 100, FORGED(0))
    forged("segment-duplicated-chunk", [coded[0], coded[0], coded[2]], 2 * CHUNK + 100, FORGED(1))
    flipped = bytes([coded[2][0] ^ 1]) + coded[2][1:]
    forged("segment-flipped-bit", [coded[0], coded[1], flipped], 2 * CHUNK + 100, FORGED(2))
    full = segment(PLACE, 1, 2, pattern(1 << 20), KEY, SALT)[0]
    write("segment-full-with-another-end", dict(full, final_tag="00" * 16), {"error": "FinalTagForged"}, with_shards=False)

    # Shards that are not what their names say.
    def damaged(count):
        return dict(good, shards=[bytes(64) if i < count else s for i, s in enumerate(good["shards"])])

    write("segment-two-shards-corrupt", damaged(2), {"plaintext": "pattern", "corrupt": [0, 1]})
    write("segment-three-shards-corrupt", damaged(3), {"error": "TooFewShards", "have": 3, "need": 4})


# --- Wrapped keys ---------------------------------------------------------------------------------------------------

OBJECT = {"tenant": "tenant-a", "bucket": "training", "key": "a/\u4e2d//..", "version": "null"}


def name_fields(domain, name):
    return fields(domain, *(name[f].encode() for f in ("tenant", "bucket", "key", "version")))


def wrapped_keys():
    root, nonce = bytes(range(50, 82)), bytes(range(24))
    binding = {"object": OBJECT, "kek_version": 3, "jurisdiction": "CN"}
    tenant = expand(root, fields(b"domicile/tenant-key/1", b"tenant-a", b"CN"), 32)
    kek = expand(tenant, fields(b"domicile/bucket-key/1", b"training", u32(3)), 32)
    okm = expand(kek, fields(b"domicile/wrap-key/1", nonce), 64)
    data = name_fields(b"domicile/wrap/1", OBJECT) + fields(u32(3), b"CN")
    sealed = b"\1" + nonce + okm[32:] + xchacha(KEY, data, nonce, okm[:32])
    good = {"kind": "wrapped-key", "root_key": root.hex(), "kek": kek.hex(), "nonce": nonce.hex(), "binding": binding,
            "wrapped": sealed.hex()}
    write("key-wrapped", good, {"data_key": KEY.hex()})
    write("key-wrong-kek", dict(good, kek=KEY.hex()), {"error": "WrongKek"})
    for field, wrong in (("tenant", "tenant-b"), ("bucket", "other"), ("key", "a/\u4e2d"), ("version", "1")):
        other = dict(binding, object=dict(OBJECT, **{field: wrong}))
        write(f"key-wrong-context-{field}", dict(good, binding=other), {"error": "WrongContext"})
    for field, wrong in (("kek_version", 4), ("jurisdiction", "HK")):
        write(f"key-wrong-context-{field}", dict(good, binding=dict(binding, **{field: wrong})), {"error": "WrongContext"})
    write("key-altered", dict(good, wrapped=(sealed[:-1] + bytes([sealed[-1] ^ 1])).hex()), {"error": "WrongContext"})
    write("key-truncated", dict(good, wrapped=sealed[:-1].hex()), {"error": "Length"})
    write("key-later-version", dict(good, wrapped=(b"\2" + sealed[1:]).hex()), {"error": "Version"})


# --- Manifests ------------------------------------------------------------------------------------------------------

DATA, UPLOAD = bytes([0x11] * 16), bytes([0x22] * 16)
NONCE = bytes(range(200, 224))
SEAL, OTHER_SEAL = bytes(range(20)), bytes(range(1, 21))


def record(index, names, full):
    """A made-up record: what stands in it is not the manifest's business."""
    def fill(tag, length):
        return hashlib.shake_128(b"%d/%s" % (index, tag)).digest(length)

    parts = [fill(b"salt", 24), fill(b"commitment", 32), fill(b"tag", 16) if full else b""]
    return b"".join(parts + [fill(b"name%d" % i, 32) for i in range(names)])


def entry(number, length, suite, k, m, seal):
    return struct.pack(">HQBBB", number, length, suite, k, m) + seal


def head_body(length, packs, rest):
    named = b"".join(bytes([len(p)]) + p for p in packs)
    return DATA + UPLOAD + struct.pack(">Q", length) + bytes([len(packs)]) + named + rest


def seal_head(body):
    key = expand(KEY, fields(b"domicile/manifest-key/1"), 32)
    return b"\1" + NONCE + xchacha(body, name_fields(b"domicile/manifest/1", OBJECT), NONCE, key)


def seal_page(seal, page, data, body):
    key = expand(KEY, fields(b"domicile/page-key/1"), 32)
    return {"seal": seal.hex(), "page": page,
            "bytes": base64.b64encode(b"\1" + xchacha(body, data, seal + u32(page), key)).decode()}


def manifest(head, pages=(), **more):
    return dict({"kind": "manifest", "object": OBJECT, "data_key": KEY.hex(), "nonce": NONCE.hex(),
                 "head": base64.b64encode(head).decode(), "pages": list(pages)}, **more)


def manifests():
    packs = [b"cn-data-export", b"eu-gdpr"]
    records = record(0, 6, True) + record(1, 6, False)
    one = entry(0, (4 << 20) + 5, 1, 4, 2, SEAL)
    inline = head_body((4 << 20) + 5, packs, b"\0" + one + records)
    said = {"bytes": (4 << 20) + 5, "packs": [p.decode() for p in packs], "segments": 2}
    good = seal_head(inline)
    write("manifest-inline", manifest(good), said)
    write("manifest-empty", manifest(seal_head(head_body(0, [], b"\0" + entry(0, 0, 1, 4, 2, SEAL)))),
          {"bytes": 0, "packs": [], "segments": 0})

    # 8 segments of 29+51: a page of 7, a page of 1.
    length = 7 * (29 << 20) + 7
    whole = entry(0, length, 2, 29, 51, SEAL)

    def pages(of, seal=SEAL, counts=(range(0, 7), range(7, 8))):
        return [seal_page(seal, i, fields(b"domicile/segments-page/1", b"tenant-a", DATA, UPLOAD, of, u32(i), u32(len(counts))),
                          b"".join(record(s, 80, s != 7) for s in on_page)) for i, on_page in enumerate(counts)]

    paged = seal_head(head_body(length, packs, b"\1" + whole))
    first, second = pages(whole)
    said_paged = dict(said, bytes=length, segments=8)
    write("manifest-paged", manifest(paged, [first, second]), said_paged)
    moved = dict(second, page=0)
    write("manifest-swapped-page", manifest(paged, [moved, second]), {"error": "Forged", "page": 0})
    stale = [dict(p, seal=SEAL.hex()) for p in pages(entry(0, length, 2, 29, 51, OTHER_SEAL), OTHER_SEAL)]
    write("manifest-page-of-an-earlier-upload", manifest(paged, stale), {"error": "Forged", "page": 0})

    # Parts 2, 3 (empty) and 9000.
    two, three, last = entry(2, 100, 1, 1, 2, SEAL), entry(3, 0, 1, 4, 2, OTHER_SEAL), entry(9000, 7, 2, 1, 2, OTHER_SEAL)
    small = [seal_page(s, 0, fields(b"domicile/segments-page/1", b"tenant-a", DATA, UPLOAD, e, u32(0), u32(1)), record(n, 1, False))
             for s, e, n in ((SEAL, two, 0), (OTHER_SEAL, last, 0))]
    listed = head_body(107, packs, b"\2" + struct.pack(">H", 3) + two + three + last)
    write("manifest-listed", manifest(seal_head(listed), small), dict(said, bytes=107, parts=3))

    # 559 parts: a page of 558 entries, a page of 1.
    table = [entry(n, 3, 1, 1, 2, n.to_bytes(20, "big")) for n in range(1, 560)]
    tabled = head_body(559 * 3, packs, b"\3" + struct.pack(">H", 559) + SEAL + struct.pack(">QQ", 0, 558 * 3))
    table_pages = [
        seal_page(SEAL, i, fields(b"domicile/parts-page/1", b"tenant-a", DATA, UPLOAD, struct.pack(">Q", 1677), u32(559), u32(i), u32(2)),
                  b"".join(table[i * 558:(i + 1) * 558])) for i in range(2)]
    sole = seal_page((559).to_bytes(20, "big"), 0, fields(b"domicile/segments-page/1", b"tenant-a", DATA, UPLOAD, table[558], u32(0), u32(1)),
                     record(0, 1, False))
    write("manifest-tabled", manifest(seal_head(tabled), table_pages + [sole], read=[1674, 1677]),
          {"bytes": 1677, "packs": said["packs"], "parts": 559, "segments": 1})

    # Another key, another name, other bytes.
    forged = {"error": "Forged"}
    write("manifest-wrong-key", manifest(good, data_key=OTHER_KEY.hex()), forged)
    for field, wrong in (("tenant", "tenant-b"), ("bucket", "other"), ("key", "a"), ("version", "1")):
        write(f"manifest-wrong-context-{field}", manifest(good, object=dict(OBJECT, **{field: wrong})), forged)
    write("manifest-altered", manifest(good[:40] + bytes([good[40] ^ 1]) + good[41:]), forged)
    write("manifest-truncated", manifest(good[:-1]), forged)
    write("manifest-cut-to-nothing", manifest(b""), {"error": "Length"})
    write("manifest-oversized", manifest(good + bytes(32769 - len(good))), {"error": "Length"})
    write("manifest-later-version", manifest(b"\2" + good[1:]), {"error": "Version"})

    # Sealed by the right key, and not in the one encoding.
    def malformed(name, length, rest, field, packs=packs):
        write(f"manifest-malformed-{name}", manifest(seal_head(head_body(length, packs, rest))),
              {"error": "Malformed", "field": field})

    five = (4 << 20) + 5
    malformed("trailing-byte", five, b"\0" + one + records + b"\0", "bytes after the end")
    malformed("missing-byte", five, b"\0" + one + records[:-1], "shard name")
    malformed("another-length", five + 1, b"\0" + one + records, "object length")
    malformed("unknown-kind", five, b"\7" + one, "kind of content")
    malformed("unknown-suite", five, b"\0" + entry(0, five, 3, 4, 2, SEAL) + records, "suite")
    malformed("unknown-profile", five, b"\0" + entry(0, five, 1, 0, 2, SEAL) + records, "profile")
    malformed("pack-twice", five, b"\0" + one + records, "packs", packs=packs + packs[:1])
    malformed("paged-but-fits-inline", five, b"\1" + one, "records that belong inline")
    malformed("inline-but-too-long", length, b"\0" + whole, "too many inline records")
    malformed("whole-with-a-part-number", five, b"\0" + entry(1, five, 1, 4, 2, SEAL) + records, "part number")
    malformed("parts-out-of-order", 107, b"\2" + struct.pack(">H", 2) + last + two, "order of part numbers")
    malformed("part-twice", 200, b"\2" + struct.pack(">H", 2) + two + two, "order of part numbers")
    malformed("part-number-too-high", 7, b"\2" + struct.pack(">H", 1) + entry(10001, 7, 1, 1, 2, SEAL), "part number")
    malformed("no-parts", 0, b"\2" + struct.pack(">H", 0), "part count")
    malformed("object-too-long", (50 << 40) + 1, b"\2" + struct.pack(">H", 2) + entry(1, 50 << 40, 1, 4, 2, SEAL)
              + entry(2, 1, 1, 1, 2, SEAL), "object length")
    malformed("table-that-fits-inline", 107, b"\3" + struct.pack(">H", 3) + SEAL + bytes(8), "part count")
    malformed("table-not-ascending", 1677, b"\3" + struct.pack(">H", 559) + SEAL + struct.pack(">QQ", 0, 5000), "start of a page")


GOLDEN.mkdir(exist_ok=True)
segments()
wrapped_keys()
manifests()
