package write

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
)

func sha256Of(i int) oci.Digest {
	d, err := oci.ParseDigest(fmt.Sprintf("sha256:%064x", i))
	if err != nil {
		panic(err)
	}
	return d
}

func TestUnwritable(t *testing.T) {
	blake, err := oci.ParseDigest("blake3:" + sha256Of(1).Hex())
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]inventory.Record{
		"algorithm": {Digest: blake, Size: 1, Kind: inventory.Blob}, "negative": {Digest: sha256Of(1), Size: -1, Kind: inventory.Blob}, "too large": {Digest: sha256Of(1), Size: inventory.MaxSize + 1, Kind: inventory.Blob},
		"tombstone with a size": {Digest: sha256Of(1), Size: 1, Kind: inventory.Tombstone}, "kind": {Digest: sha256Of(1), Size: 1, Kind: 0}, "no digest": {Digest: oci.Digest{}, Size: 1, Kind: inventory.Blob},
	} {
		if _, err := spoolRecords(t.TempDir(), []inventory.Record{r}); err == nil {
			t.Errorf("%s: it was written", name)
		}
	}
}

// The last of several records of one digest counts.
func TestSpoolOrder(t *testing.T) {
	spools, err := spoolRecords(t.TempDir(), []inventory.Record{
		{Digest: sha256Of(2), Size: 1, Kind: inventory.Blob},
		{Digest: sha256Of(1), Size: 1, Kind: inventory.Blob},
		{Digest: sha256Of(2), Kind: inventory.Tombstone},
	})
	if err != nil || len(spools) != 1 {
		t.Fatalf("%d segments, %v", len(spools), err)
	}
	if err := spools[0].seal(0); err != nil {
		t.Fatal(err)
	}
	var got []inventory.Record
	for r, err := range inventory.Records(spools[0].object().Body) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	want := []inventory.Record{
		{Digest: sha256Of(1), Size: 1, Kind: inventory.Blob}, {Digest: sha256Of(2), Kind: inventory.Tombstone},
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(oci.Digest{})); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// A spool in memory, and one that has outgrown memory, write what the format says, under the name of its hash.
func TestSpool(t *testing.T) {
	for _, n := range []int{1, 3000, spoolMemory / 38, spoolMemory/38 + 1} {
		var records []inventory.Record
		body := inventory.Header{
			Form: inventory.Record{Digest: sha256Of(0), Kind: inventory.Blob}.Form(), Nonce: 7, Count: uint64(n),
		}.Append(nil)
		for i := range n {
			records = append(records, inventory.Record{Digest: sha256Of(i), Size: int64(i), Kind: inventory.Blob})
			body = inventory.AppendRecord(body, records[i])
		}
		spools, err := spoolRecords(t.TempDir(), records)
		if err != nil || len(spools) != 1 {
			t.Fatalf("%d records: %d segments, %v", n, len(spools), err)
		}
		defer closeSpools(spools)
		s := spools[0]
		for _, nonce := range []uint32{0, 7} {
			if err := s.seal(nonce); err != nil {
				t.Fatal(err)
			}
		}
		o := s.object()
		got, err := io.ReadAll(o.Body)
		if err != nil || !bytes.Equal(body, got) || o.Size != int64(len(body)) {
			t.Errorf("%d records: %d bytes, %v; want others or %d", n, len(got), err, len(body))
		}
		sum := sha256.Sum256(body)
		want := inventory.SegmentRef{SHA256: hex.EncodeToString(sum[:]), Count: uint64(n), Bytes: int64(len(body))}
		if s.ref != want || o.SHA256 != want.SHA256 {
			t.Errorf("%d records: named %+v, want %+v", n, s.ref, want)
		}
		if inFile := len(body) > spoolMemory; (s.file != nil) != inFile {
			t.Errorf("%d records: in a file: %v", n, s.file != nil)
		}
	}
}
