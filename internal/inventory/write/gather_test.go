package write_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	. "ociproxy/internal/inventory/write"
)

// frozen is a bucket that accepts requests and never answers.
type frozen struct{ Bucket }

func (frozen) Get(ctx context.Context, _ string) (io.ReadCloser, string, error) {
	<-ctx.Done()
	return nil, "", ctx.Err()
}

// A store that does not answer delays the others by half a minute, or as long as the caller wants to wait, but not by
// all retries of its client.
func TestGatherFrozen(t *testing.T) {
	for patience, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 3 * time.Second: 3 * time.Second, time.Hour: 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			dir, start := t.TempDir(), time.Now()
			holders := []Holder{
				{Writer: New(new(inventorytest.Bucket), Options{Store: "good"}), Index: 0},
				{Writer: New(frozen{}, Options{Store: "bad"}), Index: 1},
			}
			g, err := Gather(WithPatience(t.Context(), patience), inventory.NewSegments(dir, 0, nil), holders, dir)
			if err != nil {
				t.Fatal(err)
			}
			if g.Faults[0] != nil || g.Faults[1] == nil || !strings.Contains(g.Faults[1].Error(), "no answer within "+want.String()) {
				t.Errorf("faults %v", g.Faults)
			}
			if took := time.Since(start); took > 2*want {
				t.Errorf("it took %v", took)
			}
		})
	}
}
