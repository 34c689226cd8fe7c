package ranges

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"ociproxy/internal/place"
)

// addresses returns n addresses inside random prefixes of the table. Every prefix is equally likely, so small and
// deep prefixes dominate.
func addresses(t *Table, n int) []netip.Addr {
	rng := rand.New(rand.NewPCG(1, 2))
	all := make([]netip.Addr, n)
	for i := range all {
		all[i] = inside(rng, t.entries[rng.IntN(len(t.entries))].Prefix)
	}
	return all
}

// BenchmarkLookup measures one look-up in the table of all real feeds.
func BenchmarkLookup(b *testing.B) {
	t := mustNew(b, realFeeds(b), Options{}).Table()
	all := addresses(t, 1<<12)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := t.Lookup(all[i&(len(all)-1)]); !ok {
			b.Fatal("not found")
		}
	}
}

// BenchmarkLocate measures the cost for one request: the look-up and building the client from it.
func BenchmarkLocate(b *testing.B) {
	r := mustNew(b, realFeeds(b), Options{})
	all := addresses(r.Table(), 1<<12)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if c := r.Locate(all[i&(len(all)-1)]); c.Place.Cloud == "" {
			b.Fatal("not found")
		}
	}
}

// BenchmarkBuild compiles the table of all real feeds. The server does this when a feed has changed.
func BenchmarkBuild(b *testing.B) {
	r := mustNew(b, realFeeds(b), Options{})
	b.ReportAllocs()
	for b.Loop() {
		r.rebuild()
	}
}

// BenchmarkStart reads, checks and compiles all real feeds.
func BenchmarkStart(b *testing.B) {
	cfg := realFeeds(b)
	for b.Loop() {
		if _, err := New(cfg, place.Embedded(), Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAllocations(t *testing.T) {
	r := mustNew(t, realFeeds(t), Options{})
	all := addresses(r.Table(), 1<<8)
	i := 0
	for name, f := range map[string]func(netip.Addr){
		"Lookup": func(a netip.Addr) { r.Table().Lookup(a) },
		"Locate": func(a netip.Addr) { r.Locate(a) },
	} {
		if n := testing.AllocsPerRun(1000, func() { f(all[i&(len(all)-1)]); i++ }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
