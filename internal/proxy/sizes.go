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
	stores set.Set // stores that are believed and list it
	size   int64   // in bytes; -1: the stores that list it disagree, or lie
}

// sizeAt returns the blob's size in bytes that counts for a redirect to candidate i; 0: unknown. No single store
// decides it for another candidate. The size is what i's own inventory says, unless others contradict it; or what i
// answered to a HEAD; or what canonical or several stores say.
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

// agreedSize returns a size that no single store can have made up: canonical answered it, or several inventories agree
// on it; 0: unknown.
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

// ownSize returns what candidate i answered when the proxy asked it; 0: unknown.
func (s *Server) ownSize(w *wiring, q *request, i int) int64 {
	if known, ok := s.checker.Lookup(w.key(i, &q.Request)); ok && known.Held {
		return max(0, known.Size)
	}
	return 0
}

// countLater counts the bytes of a redirect when only the candidate itself can give the size: just one other store
// has reported it, or the inventories contradict each other, or the candidate is canonical, which gets clients without
// being asked. The proxy asks the candidate in the background, within the bounds of checks, once for each blob. So
// whatever one store says, the bytes of the others are counted.
func (s *Server) countLater(w *wiring, q *request, d *decision, flow *metrics.Flow) {
	i := d.Candidate
	if !q.get || q.Kind != oci.KindBlob || d.size != 0 {
		return
	}
	if _, asked := s.checker.Lookup(w.key(i, &q.Request)); asked {
		return
	}
	var client netip.Prefix // it pays for the check
	if !d.told {
		if client = q.network(); i != w.snapshot.Canonical || !s.begun.sizes.Allow() {
			return
		}
	}
	if !w.spare(i) {
		return
	}
	span, rest, cents := q.span, d.rest, d.Cents
	s.checker.Recheck(client, w.target(i, &q.Request), func(known existence.Answer) {
		flow.Carry(bytesOf(known.Size, span, rest), cents)
	})
}
