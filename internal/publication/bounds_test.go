package publication

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/key"
)

// TestBounds: a document at each of its bounds is accepted, and one beyond it is refused.
func TestBounds(t *testing.T) {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	meta := Meta{Version: Version, Deployment: "prod", Generation: 1000, SignedAt: now}
	keys := func(n int) *Keys {
		k := &Keys{Meta: meta}
		for i := range n {
			k.Config = append(k.Config, NamedKey{Name: "ci", Key: key.Format(bytes.Repeat([]byte{byte(i)}, 32))})
		}
		return k
	}
	head := func(previous, text int) *Head {
		h := &Head{Meta: meta, Ring: "all", SHA256: strings.Repeat("0", 64), Bytes: 1, PublishedAt: now, Why: strings.Repeat("a", text)}
		for i := range previous {
			h.Previous = append(h.Previous, Earlier{Generation: uint64(999 - i), SHA256: h.SHA256, Bytes: 1, PublishedAt: now})
		}
		return h
	}
	overrides := func(n int, lasts time.Duration) *Overrides {
		o := &Overrides{Meta: meta}
		for i := range n {
			o.Overrides = append(o.Overrides, Override{
				ID: fmt.Sprintf("off-%d", i), Action: Off, Candidate: "a", Why: "dead", By: "me", From: now, Until: now.Add(lasts),
			})
		}
		return o
	}
	type document interface{ Check() error }
	for name, c := range map[string]struct{ at, beyond document }{
		"keys":             {keys(MaxKeys), keys(MaxKeys + 1)},
		"earlier heads":    {head(MaxPrevious, 0), head(MaxPrevious+1, 0)},
		"text":             {head(0, maxText), head(0, maxText+1)},
		"overrides":        {overrides(MaxOverrides, time.Hour), overrides(MaxOverrides+1, time.Hour)},
		"time of a change": {overrides(1, MaxOverride), overrides(1, MaxOverride+time.Second)},
	} {
		if err := c.at.Check(); err != nil {
			t.Errorf("%s: at the bound: %v", name, err)
		}
		if c.beyond.Check() == nil {
			t.Errorf("%s: accepted beyond the bound", name)
		}
	}
}
