//! The page that lies in every bundle.

use super::manifest::Manifest;

/// What an auditor reads first.
pub(super) fn text(manifest: &Manifest) -> String {
    let Manifest { origin, key, size, entries: (first, end), .. } = manifest;
    let last = end.saturating_sub(1);
    let opened = match manifest.opened {
        true => "Commitments are opened in `openings.jsonl`: it holds personal data. Handle it as such.",
        false => "Commitments are closed: the bundle holds no names of people, buckets or objects, and no addresses.",
    };
    format!(
        r#"# Evidence from the log {origin}

Entries {first} to {last} of {size}, with what they stand on. {opened}

## Trust

All rests on one public key:

    {key}

Ask the gateway's operator for it by another way than this bundle, and compare. A bundle that was made up whole, with a key of
its own, verifies against that key.

## Check it with Domicile

    domicile audit verify <this folder> --key '<the key you were told>'
    domicile audit replay <this folder>

The first needs no gateway, no network and no configuration. It checks every entry, tile, signature, input, pack and file, and
says by name what does not fit. The second decides every decision again, from its recorded inputs by the packs of its time.

## Check it with other tools

- `log/` is a tiled log (c2sp.org/tlog-tiles): `log/checkpoint` is a signed note (c2sp.org/tlog-checkpoint, key in
  `log/log.vkey`), `log/tile/` holds hash tiles and entry bundles. Any tool for these formats reads it. Entry bundles that hold
  none of the entries above are left out; their hashes are there, so the tree is whole all the same.
- `proofs/<index>.tlog-proof` proves one entry by itself (c2sp.org/tlog-proof). The leaf is SHA-256 of 0x00 and the entry's bytes.
- `log/seen.json` holds checkpoints of this log that storage nodes and witnesses hold: pairs of who and what. A log that was
  forked or cut is not consistent with them.
- `log/witnessed.json`: pairs of a witness's key and the checkpoint that it cosigned (c2sp.org/tlog-cosignature). Compare the keys with
  what the witnesses' owners say.
- `inputs.jsonl`: one question per line. The first word is the BLAKE3 of the JSON that follows the space, and is what an entry's
  `decision.inputs` names.
- `packs/<hash>/`: the rules that decided (Cedar), their facts, scenarios and sources. The folder's name is BLAKE3 over the four
  files in the order of their names: for each the length of its name (8 bytes, little endian), its name, the length of its
  contents, its contents.
- `databases.json`: the location databases in use, from which entry on, by their hashes.
- `openings.jsonl`, where it is there: commitment = SHA-256(domain, 0x00, salt, value), domain being
  `domicile/commitment/1/<actor|address|bucket|key>`.
- `manifest.json`: length and SHA-256 of every file. Its own SHA-256 was logged by the gateway when the bundle was made.

An entry is one line of JSON: `intent` (before an operation that was allowed), `denied` (an attempt), `outcome`, and others whose
`kind` names them. `time` is in milliseconds since 1970 in UTC.
"#
    )
}
