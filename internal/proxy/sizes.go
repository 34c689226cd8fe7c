package proxy

import (
	"net/netip"

	"ociproxy/internal/existence"
	"ociproxy/internal/metrics"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
	"ociproxy/internal/set"
)

// listing is what the inventories say of a blob.
type listing struct {
	stores set.Set // those that are believed and list it
	size   int64   // in bytes; -1: those that list it do not agree, or lie
}

// sizeAt is the size of the blob in bytes that a redirect to candidate i counts with; 0: unknown. No single store's word
// decides it for another: it is what i's own inventory says, unless others contradict it; what i answered to a HEAD; or
// what canonical or several stores say.
func (s *Server) sizeAt(w *wiring, q *request, d *decision, i int) int64 {
	if q.Kind != oci.KindBlob || i == route.NoCandidate {
		return 0
	}
	if d.listing.stores.Has(i) && d.listing.size >= 0 {
		return d.listing.size
	}
	if size := s.ownSize(w, q, i); size > 0 {
		return size
	}
	return s.agreedSize(w, q, d)
}

// agreedSize is the size that no single store can have made up: what canonical answered, or what several inventories
// agree on; 0: unknown.
func (s *Server) agreedSize(w *wiring, q *request, d *decision) int64 {
	if q.Kind != oci.KindBlob {
		return 0
	}
	if size := s.ownSize(w, q, w.snapshot.Canonical); size > 0 {
		return size
	}
	if d.listing.stores.Len() > 1 {
		return max(0, d.listing.size)
	}
	return 0
}

// ownSize is what candidate i answered when it was asked; 0: unknown.
func (s *Server) ownSize(w *wiring, q *request, i int) int64 {
	if known, ok := s.checker.Lookup(w.key(i, &q.Request)); ok && known.Held {
		return max(0, known.Size)
	}
	return 0
}

// countLater counts the bytes of a redirect whose size nobody may tell but the candidate itself: when one other store alone
// has said it, or the inventories contradict each other. It is asked in the background, within the bounds of checks, once
// for each blob; so whatever one store says, the bytes of the others are counted.
func (s *Server) countLater(w *wiring, q *request, d *decision, flow *metrics.Flow) {
	i := d.Candidate
	if !q.get || q.Kind != oci.KindBlob || d.size != 0 || !d.told {
		return
	}
	if _, asked := s.checker.Lookup(w.key(i, &q.Request)); asked || !w.spare(i) {
		return
	}
	span, rest, cents := q.span, d.rest, d.Cents
	s.checker.Recheck(netip.Prefix{}, w.target(i, &q.Request), func(known existence.Answer) {
		flow.Carry(bytesOf(known.Size, span, rest), cents)
	})
}
