package reach

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"testing"
	"time"
)

func saveOf(t *testing.T, table *Table) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := table.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatWasLearntIsSaved(t *testing.T) {
	table, c := testTable()
	asks(t, table, client4, 1, 1, 3)
	asks(t, table, client4, 1, 1, 9) // from now on it is sent past its nearest
	shared := netip.MustParseAddr("198.51.100.1")
	for range 9 {
		asks(t, table, shared, 1, 1, 9)
	}
	asks(t, table, netip.MustParseAddr("203.0.113.1"), 1, 1, 9) // nothing was learned about this one
	data := saveOf(t, table)
	next := New()
	next.now = table.now
	if err := next.Load(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	all(t, "held", asks(t, next, client4, 2, 1, 9), Next)
	all(t, "shared", asks(t, next, shared, 2, 1, 9), Nearest)
	all(t, "shared, again", asks(t, next, shared, 2, 1, 9), Nearest)
	if next.find(ptr(next.where(netip.MustParseAddr("203.0.113.1")))) != nil {
		t.Error("what was only seen was saved")
	}
	c.pass(25 * time.Hour)
	late := New()
	late.now = table.now
	if err := late.Load(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	all(t, "a day later", asks(t, late, client4, 2, 1, 9), Nearest)
}

// A damaged file is refused completely.
func TestADamagedSaveIsRefused(t *testing.T) {
	table, _ := testTable()
	asks(t, table, client4, 1, 1, 3)
	asks(t, table, client4, 1, 1, 9)
	data := saveOf(t, table)
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x41
		for name, b := range map[string][]byte{"a changed byte": bad, "cut": data[:i], "longer": append(bytes.Clone(data), bad[:i+1]...)} {
			next := New()
			next.now = table.now
			if err := next.Load(bytes.NewReader(b)); !errors.Is(err, ErrSaved) {
				t.Fatalf("%s at %d: %v", name, i, err)
			}
			if next.Level(&Request{Addr: client4, Origin: near}) != Nearest {
				t.Fatalf("%s at %d: something was loaded", name, i)
			}
		}
	}
}

// Whatever a file contains, loading it does no harm.
func FuzzLoad(f *testing.F) {
	table, _ := testTable()
	for range 3 {
		for n := range 9 {
			table.Ask(&Request{Addr: client4, Digest: testBlob(f, n), Repository: "a", Origin: near})
		}
	}
	var b bytes.Buffer
	if err := table.Save(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes()[:b.Len()-4])
	f.Add([]byte(saveMagic))
	next := New() // one for all inputs: to make it takes most of the time
	f.Fuzz(func(t *testing.T, data []byte) {
		// Use the right checksum: otherwise hardly anything would be read.
		data = binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(data))
		if err := next.Load(bytes.NewReader(data)); err != nil && !errors.Is(err, ErrSaved) {
			t.Error(err)
		}
		next.Ask(&Request{Addr: client4, Digest: testBlob(t, 1), Repository: "a", Origin: near})
	})
}
