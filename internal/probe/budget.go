package probe

import (
	"errors"
	"net/http"
	"time"
)

// Budget bounds what requests of another kind than those of [Run] may cost, as it does for a run. Safe for concurrent
// use.
type Budget struct {
	meter *meter
	began time.Time
}

// NewBudget returns a Budget. Bounds that are zero are those of [DefaultLimits]. Its time is not enforced here: the
// caller's context does that.
func NewBudget(limits Limits) *Budget {
	o := Options{Limits: limits}
	o.defaults()
	return &Budget{newMeter(o.Limits), time.Now()}
}

// Over returns a transport that counts what next does, and refuses what is beyond the bounds.
func (b *Budget) Over(next http.RoundTripper) http.RoundTripper { return b.meter.paced(next) }

// Limits returns the bounds.
func (b *Budget) Limits() Cost { return b.meter.limits.Cost() }

// Cost returns what was spent so far.
func (b *Budget) Cost() Cost {
	return Cost{b.meter.made(), b.meter.bytes.Load(), time.Since(b.began).Seconds()}
}

// Spent reports whether err says that a bound was reached.
func Spent(err error) bool { return errors.Is(err, errSpent) }

// Cost returns the bounds in the form of what a run took.
func (l Limits) Cost() Cost { return Cost{l.Requests, l.Bytes, l.Time.Seconds()} }
