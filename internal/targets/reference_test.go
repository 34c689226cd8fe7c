package targets

import (
	"context"
	"io"
	"strings"
	"testing"

	"ociproxy/internal/set"
	"ociproxy/internal/transfer"
)

// refusing has a blob in one repository, and refuses it in the others once it may.
type refusing struct {
	text string
	may  chan struct{}
}

func (s refusing) Open(ctx context.Context, b transfer.Blob, off int64) (io.ReadCloser, error) {
	if b.Repository == "good" {
		return io.NopCloser(strings.NewReader(s.text[off:])), nil
	}
	select {
	case <-s.may:
		return nil, transfer.ErrGone
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Who joins the way of a blob from a repository that does not give it gets it from its own.
func TestJoinedReference(t *testing.T) {
	dir := mkdir(t)
	source := refusing{"content", make(chan struct{})}
	f := open(t, parse(t, storeAt("a", dir, public(t, dir, nil), "")), Options{Source: source})
	bad, good := blobOf(t, source.text), blobOf(t, source.text)
	bad.Repository, good.Repository = "bad", "good"
	results := map[string]chan Result{"bad": make(chan Result, 1), "good": make(chan Result, 1), "worse": make(chan Result, 1)}
	worse := bad
	worse.Repository = "worse"
	for _, b := range []transfer.Blob{bad, good, worse} {
		came := f.Ensure(t.Context(), b, set.Of(0))
		go func() {
			for r := range came {
				results[b.Repository] <- r
			}
		}()
	}
	close(source.may)
	if r := <-results["good"]; r.Err != nil {
		t.Errorf("good: %+v", r)
	}
	if r := <-results["bad"]; r.Err == nil || r.Repository != "bad" {
		t.Errorf("bad: %+v", r)
	}
	<-results["worse"] // has it too when good was first
	if _, ok := f.Ledger.Holds(0, good.Digest); !ok {
		t.Error("it is not recorded")
	}
}
