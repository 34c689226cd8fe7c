package proxy

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestShunned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShunned()
		other := netip.MustParsePrefix("198.51.100.0/24")
		if s.has(network, "a") {
			t.Error("at first")
		}
		s.add(network, "a")
		if !s.has(network, "a") || s.has(network, "b") || s.has(other, "a") {
			t.Error("not the pair that was added, or others")
		}
		s.remove(network, "b")
		if !s.has(network, "a") {
			t.Error("the removal of another pair")
		}
		s.remove(network, "a")
		if s.has(network, "a") {
			t.Error("removed")
		}
		s.add(network, "a")
		<-time.After(repeatWindow + 2*time.Second) // virtual time
		if s.has(network, "a") {
			t.Error("for longer than the window")
		}
	})
}

func BenchmarkShunned(b *testing.B) {
	s := newShunned()
	for i := range 1000 {
		s.add(network, fmt.Sprint(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		s.has(network, "https://bucket.example/containers/images/{digest}")
	}
}
