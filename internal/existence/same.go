package existence

import (
	"net/netip"
	"time"
)

// Comparison is the result of comparing what two candidates have under one tag.
type Comparison uint8

const (
	// Incomparable: one of them gave no usable answer, or did not report what the tag points to.
	Incomparable Comparison = iota
	Same
	Different
)

// Compare asks a and b for the tag that both name, even if answers are remembered, in the background and within the
// bounds of all checks. It passes the result to then, with a moment before which neither was asked. When a bound is
// reached, nothing happens.
func (c *Checker) Compare(client netip.Prefix, a, b Target, then func(time.Time, Comparison)) {
	select {
	case c.waiting <- struct{}{}:
	default:
		return
	}
	first, second := c.start(client, a, toKnowAgain), c.start(client, b, toKnowAgain)
	if first == nil || second == nil {
		<-c.waiting
		return
	}
	go func() {
		defer func() { <-c.waiting }()
		<-first.done
		<-second.done
		asked := first.began
		if second.began.Before(asked) {
			asked = second.began
		}
		then(asked, compare(first.answer, second.answer))
	}()
}

func compare(a, b Answer) Comparison {
	switch {
	case a.Failed || b.Failed:
		return Incomparable
	case a.Held != b.Held:
		return Different
	case !a.Held || a.Content == 0 || b.Content == 0:
		return Incomparable
	case a.Content == b.Content:
		return Same
	default:
		return Different
	}
}
