package route

import (
	"testing"

	"ociproxy/internal/place"
)

// bigOptions is a world of 33 stores and 22 upstreams, as the largest public registries have.
func bigOptions(tb testing.TB) Options {
	opt := Options{Map: place.Embedded(), CostWeight: 5, Location: at(tb, "gcp/us-central1")}
	for _, site := range opt.Map.Sites() {
		switch {
		case site.Cloud == "aws" && site.Partition == "aws" && len(opt.Candidates) < 33:
			opt.Candidates = append(opt.Candidates, store(tb, "s3-"+site.Region, site.Place.String(), "aws"))
		case site.Cloud == "gcp" && len(opt.Candidates) < 55:
			u := upstream(tb, "ar-"+site.Region, site.Place.String())
			u.Canonical = site.Region == "us-central1"
			opt.Candidates = append(opt.Candidates, u)
		}
	}
	return opt
}

func bigSnapshot(tb testing.TB) *Snapshot {
	opt := bigOptions(tb)
	for i := range opt.Candidates {
		if opt.Candidates[i].Canonical {
			return snapshot(tb, opt)
		}
	}
	opt.Candidates[len(opt.Candidates)-1].Canonical = true
	return snapshot(tb, opt)
}

func TestDecideDoesNotAllocate(t *testing.T) {
	s := bigSnapshot(t)
	blob := parse(t, "/v2/a/blobs/"+digest)
	for _, where := range []string{"aws/eu-central-1", "gcp/us-east1", "azure/westeurope", "aws", ""} {
		c := client(t, where)
		for _, st := range []*State{everything(s), {Usable: s.All(), Unknown: s.All()}, {Usable: s.All()}, {}} {
			if n := testing.AllocsPerRun(100, func() { Decide(blob, c, s, st) }); n != 0 {
				t.Errorf("client %q: %v allocations", where, n)
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	s := bigSnapshot(b)
	blob, manifest := parse(b, "/v2/a/blobs/"+digest), parse(b, "/v2/a/manifests/v1")
	c := client(b, "aws/eu-central-1")
	hit, absent := everything(s), &State{Usable: s.All()}
	for name, bench := range map[string]func(){
		"hit":      func() { Decide(blob, c, s, hit) },
		"absent":   func() { Decide(blob, c, s, absent) },
		"manifest": func() { Decide(manifest, c, s, hit) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench()
			}
		})
	}
}

// BenchmarkSnapshot builds 40 stores for every place on the map.
func BenchmarkSnapshot(b *testing.B) {
	opt := bigOptions(b)
	opt.Candidates = opt.Candidates[:39]
	for i := range opt.Candidates {
		opt.Candidates[i].Canonical = false
	}
	u := upstream(b, "canonical", "gcp/us-central1")
	u.Canonical = true
	opt.Candidates = append(opt.Candidates, u)
	b.Logf("%d candidates, %d places", len(opt.Candidates), len(opt.Map.Sites()))
	for b.Loop() {
		if _, err := New(opt); err != nil {
			b.Fatal(err)
		}
	}
}
