package proxy

import (
	"context"
	"time"

	"ociproxy/internal/existence"
	"ociproxy/internal/oci"
	"ociproxy/internal/wait"
)

// warmEvery is how often it is looked which stores and replicas were asked nothing for a while.
const warmEvery = time.Second

// keepWarm sees to it, while ctx lasts, that a connection leads to whatever clients' requests wait
// for, and that it is known how fast it answers and whether its answers mean something.
func (s *Server) keepWarm(ctx context.Context) {
	s.warm(s.wiring.Load())
	for range wait.Every(ctx, warmEvery) {
		s.warm(s.wiring.Load())
	}
}

// warm looks after all that are asked by HEAD: replicas, and stores without an inventory that is
// believed.
func (s *Server) warm(w *wiring) {
	listed, demoted := w.live.View().Believed, w.doubts.Demoted()
	listed.AndNot(&demoted)
	for i := range w.snapshot.Candidates {
		if c := &w.snapshot.Candidates[i]; c.Active && i != w.snapshot.Canonical && !listed.Has(i) {
			s.checker.Keep(w.target(i, &somewhere), func() bool { return w.spare(i) })
		}
	}
}

// somewhere is what is asked for where nothing better is known.
var somewhere = oci.Request{Kind: oci.KindBlob, Name: "oci-proxy", Digest: nowhere}

var nowhere, _ = oci.ParseDigest(existence.Nowhere)

// turned is told that a candidate says yes to what cannot exist, or no longer does.
func (s *Server) turned(t existence.Target, believed bool) {
	if believed {
		s.log.Info("what this candidate says it holds is believed again", "candidate", t.Candidate)
		return
	}
	s.log.Error("a candidate says that it holds what cannot exist: "+
		"what it says it holds is not believed, and clients are sent elsewhere",
		"candidate", t.Candidate, "asked", t.Key.Kind.String())
}
