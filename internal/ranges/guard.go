package ranges

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
)

// Limits of the guards. Measured on half-year-old copies of the feeds: the IPv4 space of AWS changes by 0.5 % and
// that of GCP by 14 %. A jump beyond these limits is a fault, or a change that a person should look at.
const (
	maxShrink   = 0.25 // of the address space of the last good copy
	maxGrow     = 0.50 // of the address space of the last good copy
	shortestV4  = 8    // the largest IPv4 prefix that is accepted, bits
	shortestV6  = 20   // the largest IPv6 prefix that is accepted, bits
	maxFeedRows = 500_000
)

// ErrGuard marks a feed that was read but rejected by a guard.
var ErrGuard = errors.New("guard")

func guardf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrGuard, fmt.Sprintf(format, args...))
}

// kind says how far a feed's rows are trusted.
type kind uint8

const (
	cloudList kind = iota // a cloud's list of its own ranges: every row must be public unicast space
	geofeed               // a network's own list of its ranges: rows in idle space are left out (Vultr lists some)
	ownList               // the operator's own list: private and documentation ranges are accepted
)

// check applies the guards that need no history. It returns the rows to use and the number of rows left out.
func (k kind) check(rows []row) (use []row, skipped int, err error) {
	if len(rows) > maxFeedRows {
		return nil, 0, guardf("%d prefixes, more than %d", len(rows), maxFeedRows)
	}
	use = rows[:0]
	for _, r := range rows {
		if k == geofeed && idleSpace(r.prefix) {
			skipped++
			continue
		}
		if k != ownList || !ownSpace(r.prefix) {
			if err := checkPrefix(r.prefix); err != nil {
				return nil, 0, err
			}
		}
		use = append(use, r)
	}
	if len(use) == 0 {
		return nil, 0, guardf("no prefixes")
	}
	return use, skipped, nil
}

func checkPrefix(p netip.Prefix) error {
	shortest := shortestV6
	if p.Addr().Is4() {
		shortest = shortestV4
	}
	if p.Bits() < shortest {
		return guardf("prefix %s is shorter than /%d", p, shortest)
	}
	if bogon(p) {
		return guardf("prefix %s is not public address space", p)
	}
	return nil
}

// space is the number of addresses that a feed covers. Each address counts once.
type space struct{ v4, v6 float64 }

// measure adds up the prefixes. A prefix inside another one adds nothing.
func measure(rows []row) space {
	ps := make([]netip.Prefix, len(rows))
	for i, r := range rows {
		ps[i] = r.prefix
	}
	slices.SortFunc(ps, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var s space
	var outer netip.Prefix
	for _, p := range ps {
		if outer.IsValid() && outer.Overlaps(p) {
			continue // the list is sorted, so p is inside outer or equal to it
		}
		outer = p
		n := math.Ldexp(1, p.Addr().BitLen()-p.Bits())
		if p.Addr().Is4() {
			s.v4 += n
		} else {
			s.v6 += n
		}
	}
	return s
}

// checkSpace compares a new copy with the last good one. An address family that was absent before is not compared.
func checkSpace(last, now space) error {
	for _, f := range []struct {
		name      string
		last, now float64
	}{{"IPv4", last.v4, now.v4}, {"IPv6", last.v6, now.v6}} {
		if f.last == 0 {
			continue
		}
		switch change := f.now/f.last - 1; {
		case change < -maxShrink:
			return guardf("%s space shrinks by %.0f %%, more than %.0f %%", f.name, -change*100, maxShrink*100)
		case change > maxGrow:
			return guardf("%s space grows by %.0f %%, more than %.0f %%", f.name, change*100, maxGrow*100)
		}
	}
	return nil
}
