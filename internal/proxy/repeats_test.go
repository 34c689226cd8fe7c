package proxy

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var network = netip.MustParsePrefix("192.0.2.0/24")

// blob is what a GET of a blob asks for.
func blob(r *repeats, digest string) uint64 { return maphash.String(r.seed, digest) }

func testRepeats(t testing.TB) *repeats {
	r, err := newRepeats()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

func TestRepeats(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name   string
		starts []int64
		again  []bool
	}{
		{"a full download tried again", []int64{0, 0}, []bool{false, true}},
		{"a cut download resumed", []int64{0, 123_456}, []bool{false, true}},
		{"resumed twice", []int64{0, 123_456, 200_001}, []bool{false, true, true}},
		{"a parallel download", []int64{0, 8 * mib, 16 * mib, 24 * mib, 32 * mib}, make([]bool, 5)},
		{"out of order", []int64{16 * mib, 0, 8 * mib, 24 * mib}, make([]bool, 4)},
		{"a chunk tried again", []int64{0, 8 * mib, 16 * mib, 8 * mib}, []bool{false, false, false, true}},
		{"a cut chunk resumed", []int64{0, 8 * mib, 9*mib + 17}, []bool{false, false, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := testRepeats(t)
			for i, start := range tt.starts {
				if _, got := r.seen(network, blob(r, digest), start); got != tt.again[i] {
					t.Errorf("request %d from %d: again = %v", i, start, got)
				}
			}
		})
	}
}

func TestOthersAreNotRepeats(t *testing.T) {
	r := testRepeats(t)
	r.seen(network, blob(r, digest), 0)
	if _, again := r.seen(netip.MustParsePrefix("198.51.100.0/24"), blob(r, digest), 0); again {
		t.Error("another network")
	}
	if _, again := r.seen(network, blob(r, absent), 0); again {
		t.Error("another digest")
	}
}

func TestACheckedStoreEndsIt(t *testing.T) {
	r := testRepeats(t)
	r.seen(network, blob(r, digest), 0)
	key, again := r.seen(network, blob(r, digest), 0)
	if !again {
		t.Fatal("not noticed")
	}
	r.fine(key)
	for range 3 {
		if _, again := r.seen(network, blob(r, digest), 0); again {
			t.Error("a fleet behind one address is sent away for ever")
		}
	}
}

func TestRepeatsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := newRepeats()
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		r.seen(network, blob(r, digest), 0)
		<-time.After(repeatWindow + 2*time.Second) // virtual time
		if _, again := r.seen(network, blob(r, digest), 0); again {
			t.Error("remembered for longer than the window")
		}
	})
}

func TestRepeatsAreBounded(t *testing.T) {
	r := testRepeats(t)
	for i := range 200_000 {
		d := fmt.Sprint(i)
		r.seen(network, maphash.String(r.seed, d), 0)
		r.seen(network, maphash.String(r.seed, d), 0)
	}
	r.records.CleanUp()
	if n := r.records.EstimatedSize(); n > repeatRecords {
		t.Errorf("%d records, want at most %d", n, repeatRecords)
	}
	key, _ := r.seen(network, blob(r, digest), 0)
	for i := range 1000 {
		r.seen(network, blob(r, digest), int64(i)*chunkAlign)
	}
	if record, ok := r.records.GetIfPresent(key); ok && len(record.starts) > maxStarts {
		t.Errorf("%d starts, want at most %d", len(record.starts), maxStarts)
	}
}

func TestRangeStart(t *testing.T) {
	for _, tt := range []struct {
		values []string
		want   int64
	}{
		{nil, 0}, {[]string{"bytes=0-"}, 0}, {[]string{"bytes=5-"}, 5}, {[]string{"bytes=5-9"}, 5}, {[]string{"bytes=-5"}, -1},
		{[]string{"bytes=0-1,5-6"}, -1}, {[]string{"bytes=0-", "bytes=1-"}, -1}, {[]string{"items=0-"}, -1}, {[]string{"bytes=x-"}, -1},
		{[]string{"bytes=99999999999999999999-"}, -1}, {[]string{"bytes=+5-"}, -1}, {[]string{""}, -1},
	} {
		if got := rangeStart(tt.values); got != tt.want {
			t.Errorf("rangeStart(%q) = %d, want %d", tt.values, got, tt.want)
		}
	}
}

func BenchmarkRepeats(b *testing.B) {
	r := testRepeats(b)
	digests := make([]string, 1024)
	for i := range digests {
		digests[i] = fmt.Sprintf("sha256:%064x", i)
	}
	nets := make([]netip.Prefix, 251)
	for i := range nets {
		nets[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 24)
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		r.seen(nets[i%251], maphash.String(r.seed, digests[i&1023]), 0)
		i++
	}
}
