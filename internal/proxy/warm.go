package proxy

import (
	"context"
	"time"

	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/wait"
)

// warmEvery is how often the proxy looks for stores and replicas that got no request for a while.
const warmEvery = time.Second

// keepWarm keeps a connection open, until ctx is done, to every origin that clients' requests wait for. It also keeps
// known how fast each origin answers and whether its answers mean something.
func (s *Server) keepWarm(ctx context.Context) {
	s.warm(s.wiring.Load())
	for range wait.Every(ctx, warmEvery) {
		s.warm(s.wiring.Load())
	}
}

// warm handles all candidates that the proxy asks by HEAD: replicas, and stores without an inventory that it
// believes.
func (s *Server) warm(w *wiring) {
	listed, demoted := w.live.View().Believed, w.doubts.Demoted()
	listed.AndNot(&demoted)
	for i := range w.snapshot.Candidates {
		if c := &w.snapshot.Candidates[i]; c.Active && i != w.snapshot.Canonical && !listed.Has(i) {
			s.checker.Keep(w.target(i, &somewhere), func() bool { return w.spare(i) })
		}
	}
}

// somewhere is the request for a candidate of which no object is known.
var somewhere = oci.Request{Kind: oci.KindBlob, Name: "oci-proxy", Digest: nowhere}

var nowhere, _ = oci.ParseDigest(existence.Nowhere)

// turned handles the news that a candidate began or stopped to say yes to what cannot exist.
func (s *Server) turned(t existence.Target, believed bool) {
	if believed {
		s.log.Info("what this candidate says it holds is believed again", "candidate", t.Candidate)
		return
	}
	s.log.Error("a candidate says that it holds what cannot exist: "+
		"what it says it holds is not believed, and clients are sent elsewhere",
		"candidate", t.Candidate, "asked", t.Key.Kind.String())
}
