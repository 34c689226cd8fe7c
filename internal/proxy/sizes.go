package proxy

import (
	"net/http"
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
func (s *Server) sizeAt(w *world, a *answer, i int) int64 {
	if a.req.Kind != oci.KindBlob || i == route.NoCandidate {
		return 0
	}
	if a.listing.stores.Has(i) && a.listing.size >= 0 {
		return a.listing.size
	}
	if size := s.ownSize(w, a, i); size > 0 {
		return size
	}
	return s.agreedSize(w, a)
}

// agreedSize is the size that no single store can have made up: what canonical answered, or what several inventories
// agree on; 0: unknown.
func (s *Server) agreedSize(w *world, a *answer) int64 {
	if a.req.Kind != oci.KindBlob {
		return 0
	}
	if size := s.ownSize(w, a, w.snapshot.Canonical); size > 0 {
		return size
	}
	if a.listing.stores.Len() > 1 {
		return max(0, a.listing.size)
	}
	return 0
}

// ownSize is what candidate i answered when it was asked; 0: unknown.
func (s *Server) ownSize(w *world, a *answer, i int) int64 {
	if known, ok := s.checker.Lookup(w.key(i, &a.req)); ok && known.Held {
		return max(0, known.Size)
	}
	return 0
}

// countLater counts the bytes of a redirect whose size nobody may tell but the candidate itself: when one other store alone
// has said it, or the inventories contradict each other. It is asked in the background, within the bounds of checks, once
// for each blob; so whatever one store says, the bytes of the others are counted.
func (s *Server) countLater(w *world, r *http.Request, a *answer, flow *metrics.Flow) {
	i := a.decision.Candidate
	if r.Method != http.MethodGet || a.req.Kind != oci.KindBlob || a.size != 0 || !a.told {
		return
	}
	if _, asked := s.checker.Lookup(w.key(i, &a.req)); asked || !w.spare(i) {
		return
	}
	late := answer{span: a.span, rest: a.rest}
	cents := a.decision.Cents
	s.checker.Recheck(netip.Prefix{}, w.target(i, &a.req), func(known existence.Answer) {
		late.size = known.Size
		flow.Carry(late.bytes(http.MethodGet), cents)
	})
}
