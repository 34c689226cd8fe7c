package inventory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ociproxy/internal/oci"
)

// The benchmarks' shape: 33 stores, 98 % of the digests in all of them.
const benchStores = 33

type diskShelf string

func (s diskShelf) open(ref SegmentRef) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(s), ref.SHA256))
}

func (s diskShelf) write(b *testing.B, raw [][]byte) SegmentRef {
	h := Header{Form: Form{alg: sha256Digests}, Count: uint64(len(raw))}
	body := append(h.Append(nil), bytes.Join(raw, nil)...)
	sum := sha256.Sum256(body)
	ref := SegmentRef{SHA256: hex.EncodeToString(sum[:]), Count: h.Count, Bytes: h.Bytes()}
	if err := os.WriteFile(filepath.Join(string(s), ref.SHA256), body, 0o600); err != nil {
		b.Fatal(err)
	}
	return ref
}

func randomRecords(rng *rand.Rand, n int) [][]byte {
	flat := make([]byte, 38*n)
	out := make([][]byte, n)
	for i := range out {
		r := flat[i*38 : i*38+38]
		for j := 0; j < 32; j += 8 {
			binary.BigEndian.PutUint64(r[j:], rng.Uint64())
		}
		putSize(r[32:], rng.Int64N(1<<30))
		r[37] = byte(Blob)
		out[i] = r
	}
	slices.SortFunc(out, bytes.Compare)
	return out
}

func benchInput(b *testing.B, n int, distinct bool) buildInput {
	dir := diskShelf(b.TempDir())
	rng := rand.New(rand.NewPCG(1, 2))
	common := randomRecords(rng, n*98/100)
	other := randomRecords(rng, n*2/100)
	in := buildInput{keep: keepNone(), open: dir.open, dir: string(dir)}
	var base SegmentRef
	if !distinct {
		base = dir.write(b, common)
	}
	for i := range benchStores {
		var own [][]byte
		for _, r := range other {
			if rng.IntN(2) == 0 {
				own = append(own, r)
			}
		}
		if distinct {
			own = append(own, common...)
			slices.SortFunc(own, bytes.Compare)
			in.changes = append(in.changes, Change{i, []SegmentRef{dir.write(b, own)}})
		} else {
			in.changes = append(in.changes, Change{i, []SegmentRef{base, dir.write(b, own)}})
		}
	}
	return in
}

func BenchmarkBuild(b *testing.B) {
	for _, bb := range []struct {
		name     string
		n        int
		distinct bool
	}{{"shared", 1e6, false}, {"distinct", 1e6, true}} {
		b.Run(bb.name, func(b *testing.B) {
			in := benchInput(b, bb.n, bb.distinct)
			for b.Loop() {
				t, err := build(in)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(t.Bytes())/float64(t.Len()), "B/digest")
				t.release()
			}
		})
	}
}

func BenchmarkLookupCold(b *testing.B) {
	t, err := build(benchInput(b, 1e6, false))
	if err != nil {
		b.Fatal(err)
	}
	var all []oci.Digest
	for d := range t.All() {
		all = append(all, d)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	// The digests are one after the other in memory: the digest of a request is in the cache, the table is not.
	var text strings.Builder
	for _, d := range all {
		text.WriteString(d.String())
	}
	for i := range all {
		all[i], _ = oci.ParseDigest(text.String()[71*i : 71*i+71])
	}
	i := 0
	for b.Loop() {
		if _, ok := t.Lookup(all[i]); !ok {
			b.Fatal("missing")
		}
		if i++; i == len(all) {
			i = 0
		}
	}
}
