// Verifies an evidence bundle of Domicile with code that Domicile has no part in: the transparency-log packages of the Go
// project (golang.org/x/mod/sumdb), which read the same C2SP formats.
//
//	usage: verify BUNDLE [OLDER_CHECKPOINT...]
//
// Checked are the signature of the checkpoint, that every entry in the bundle is in the tree that it signs, every single proof, and
// that every older checkpoint (those given, and those that the bundle says others hold) is of a tree that this one grew from.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Hashes of a full tile, as a power of two.
const tileHeight = 8

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: verify BUNDLE [OLDER_CHECKPOINT...]")
		os.Exit(2)
	}
	if err := verify(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "does not hold:", err)
		os.Exit(1)
	}
}

func verify(bundle string, older []string) error {
	log := filepath.Join(bundle, "log")
	key, err := os.ReadFile(filepath.Join(log, "log.vkey"))
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(log, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := checkpoint(text, verifier)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	hashes := tlog.TileHashReader(tree, &tiles{folder: log, size: tree.N, known: map[tlog.Tile][]byte{}})
	entries, err := checkEntries(log, tree, hashes)
	if err != nil {
		return err
	}
	proofs, err := checkProofs(filepath.Join(bundle, "proofs"), verifier, entries)
	if err != nil {
		return err
	}
	seen, err := checkSeen(log, older, verifier, tree, hashes)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return errors.New("the bundle holds no entry")
	}
	fmt.Printf("holds: %d entries of %d are in the tree, %d proofs, consistent with %d older checkpoints; key %s\n",
		len(entries), tree.N, proofs, seen, verifier.Name())
	return nil
}

// checkpoint opens a signed checkpoint (c2sp.org/tlog-checkpoint): origin, size, root.
func checkpoint(text []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("%q is no checkpoint of %s", lines[0], verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// tiles reads hash tiles by their C2SP names; the reader above it holds them against the signed root.
type tiles struct {
	folder string
	size   int64
	known  map[tlog.Tile][]byte
}

func (t *tiles) Height() int { return tileHeight }

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	read := make([][]byte, len(wanted))
	for i, tile := range wanted {
		data, ok := t.known[tile]
		if !ok {
			var err error
			// The file may be of a width that is more than what is asked for.
			width := t.size>>(tileHeight*tile.L) - tile.N<<tileHeight
			if width > 1<<tileHeight {
				width = 1 << tileHeight
			}
			name := path(strconv.Itoa(tile.L), tile.N, int(width))
			if data, err = os.ReadFile(filepath.Join(t.folder, name)); err != nil {
				return nil, err
			}
			if len(data) != int(width)*tlog.HashSize {
				return nil, fmt.Errorf("%s has %d bytes", name, len(data))
			}
			data = data[:tile.W*tlog.HashSize]
			t.known[tile] = data
		}
		read[i] = data
	}
	return read, nil
}

// path names a tile or a bundle of entries (c2sp.org/tlog-tiles).
func path(level string, n int64, width int) string {
	name := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		name = fmt.Sprintf("x%03d/%s", n%1000, name)
	}
	name = "tile/" + level + "/" + name
	if width < 1<<tileHeight {
		name += fmt.Sprintf(".p/%d", width)
	}
	return name
}

// checkEntries proves every entry that is in the folder, and returns their hashes by index.
func checkEntries(log string, tree tlog.Tree, hashes tlog.HashReader) (map[int64]tlog.Hash, error) {
	text, err := os.ReadFile(filepath.Join(log, "exported-range"))
	if err != nil {
		return nil, err
	}
	var first, end int64
	if _, err := fmt.Sscanf(string(text), "%d %d\n", &first, &end); err != nil || first < 0 || end > tree.N {
		return nil, fmt.Errorf("exported-range: %q", text)
	}
	entries := map[int64]tlog.Hash{}
	for n := first >> tileHeight; n<<tileHeight < end; n++ {
		width := tree.N - n<<tileHeight
		if width > 1<<tileHeight {
			width = 1 << tileHeight
		}
		name := path("entries", n, int(width))
		bundle, err := os.ReadFile(filepath.Join(log, name))
		if err != nil {
			return nil, err
		}
		for i := int64(0); i < width; i++ {
			index := n<<tileHeight + i
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return nil, fmt.Errorf("%s breaks off at entry %d", name, index)
			}
			length := 2 + int(binary.BigEndian.Uint16(bundle))
			hash := tlog.RecordHash(bundle[2:length])
			bundle = bundle[length:]
			proof, err := tlog.ProveRecord(tree.N, index, hashes)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", index, err)
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, hash); err != nil {
				return nil, fmt.Errorf("entry %d: %w", index, err)
			}
			entries[index] = hash
		}
		if len(bundle) != 0 {
			return nil, fmt.Errorf("%s runs on", name)
		}
	}
	return entries, nil
}

// checkProofs reads every single proof (c2sp.org/tlog-proof).
func checkProofs(folder string, verifier note.Verifier, entries map[int64]tlog.Hash) (int, error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if err != nil {
			return 0, err
		}
		if err := checkProof(text, verifier, entries); err != nil {
			return 0, fmt.Errorf("%s: %w", file.Name(), err)
		}
	}
	return len(files), nil
}

func checkProof(text []byte, verifier note.Verifier, entries map[int64]tlog.Hash) error {
	head, signed, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		return errors.New("no empty line")
	}
	lines := strings.Split(string(head), "\n")
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return errors.New("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(hash) != tlog.HashSize {
			return fmt.Errorf("%q is no hash", line)
		}
		proof = append(proof, tlog.Hash(*(*[tlog.HashSize]byte)(hash)))
	}
	tree, err := checkpoint(signed, verifier)
	if err != nil {
		return err
	}
	hash, ok := entries[index]
	if !ok {
		return fmt.Errorf("entry %d is not in the bundle", index)
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, hash)
}

// checkSeen holds the tree against older checkpoints.
func checkSeen(log string, older []string, verifier note.Verifier, tree tlog.Tree, hashes tlog.HashReader) (int, error) {
	var seen [][2]string
	text, err := os.ReadFile(filepath.Join(log, "seen.json"))
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(text, &seen); err != nil {
		return 0, fmt.Errorf("seen.json: %w", err)
	}
	for _, file := range older {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		seen = append(seen, [2]string{file, string(text)})
	}
	for _, held := range seen {
		old, err := checkpoint([]byte(held[1]), verifier)
		if err != nil {
			return 0, fmt.Errorf("the checkpoint that %s holds: %w", held[0], err)
		}
		if old.N == 0 {
			continue
		}
		if old.N > tree.N {
			return 0, fmt.Errorf("%s holds a checkpoint of %d entries: the tail is cut off", held[0], old.N)
		}
		proof, err := tlog.ProveTree(tree.N, old.N, hashes)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			return 0, fmt.Errorf("the checkpoint that %s holds, of %d entries: %w", held[0], old.N, err)
		}
	}
	return len(seen), nil
}
