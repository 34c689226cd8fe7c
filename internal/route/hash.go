package route

import (
	"encoding/binary"
	"net/netip"
)

// Network returns the part of an address that stands for one client: its /24 or /48. Rollouts and per-client limits
// use it, so that a client stays on the same side when only its host part changes.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil { // only the zero address
		return netip.Prefix{}
	}
	return p
}

// hashString is FNV-1a: stable between processes and releases, which a rollout must be.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// percentile maps (candidate, client network) to 0…99, evenly. The result never changes.
func percentile(seed uint64, a netip.Addr) int {
	b := Network(a).Addr().As16()
	h := seed ^ binary.BigEndian.Uint64(b[:8])*0x9e3779b97f4a7c15 ^ binary.BigEndian.Uint64(b[8:])
	return int(mix(h) % 100)
}

// lot returns a candidate's lot at a place. It decides when nothing else orders two candidates; the highest lot comes
// first. An additional candidate takes only the places where its own lot is the highest.
func lot(at, seed uint64) uint64 { return mix(at*0x9e3779b97f4a7c15 ^ seed) }

// mix is splitmix64's finaliser: it spreads differences of a few bits over all bits.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
