package endpoints

import (
	"fmt"
	"slices"
	"time"
)

// What happened to an endpoint between two lists.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is a difference between two lists.
type Change struct {
	What     string   `json:"what"` // Added, Removed or Changed
	Endpoint Endpoint `json:"endpoint"`
	// Was is the endpoint in the old list, when it changed.
	Was *Endpoint `json:"was,omitempty"`
	// Keys are the names of the fields that changed.
	Keys []string `json:"keys,omitempty"`
	// Warning says how the change breaks the promised notice; "" when it does not.
	Warning string `json:"warning,omitempty"`
}

// Diff returns the differences between two lists, in the order of a list. Its warnings say which changes come with less
// notice than the lists promise, at the time now. Without a promise there are no warnings.
func Diff(old, next *List, now time.Time) []Change {
	d := differ{old: old, now: now, notice: max(old.Notice(), next.Notice())}
	var out []Change
	i, j := 0, 0
	was, is := sorted(old), sorted(next)
	for i < len(was) || j < len(is) {
		switch {
		case i == len(was) || j < len(is) && compare(was[i], is[j]) > 0:
			out = append(out, Change{What: Added, Endpoint: is[j], Warning: d.added(&is[j])})
			j++
		case j == len(is) || compare(was[i], is[j]) < 0:
			out = append(out, Change{What: Removed, Endpoint: was[i], Warning: d.removed(&was[i], next)})
			i++
		default:
			if keys := differing(&was[i], &is[j]); len(keys) > 0 {
				out = append(out, Change{What: Changed, Endpoint: is[j], Was: &was[i], Keys: keys, Warning: d.changed(&was[i], &is[j])})
			}
			i, j = i+1, j+1
		}
	}
	return out
}

// sorted returns the endpoints of a list, which may come from another program.
func sorted(l *List) []Endpoint {
	return New(l.Endpoints, 0).Endpoints
}

func differing(a, b *Endpoint) (keys []string) {
	for _, k := range []struct {
		name string
		same bool
	}{
		{"insecure", a.Insecure == b.Insecure}, {"families", slices.Equal(a.Families, b.Families)},
		{"provider", a.Provider == b.Provider}, {"region", a.Region == b.Region},
		{"since", a.Since.Equal(b.Since)}, {"until", a.Until.Equal(b.Until)},
	} {
		if !k.same {
			keys = append(keys, k.name)
		}
	}
	return keys
}

type differ struct {
	old    *List
	now    time.Time
	notice time.Duration
}

// added warns of an endpoint that users could not know of in time.
func (d *differ) added(e *Endpoint) string {
	if d.notice == 0 || d.allowed(e) {
		return ""
	}
	if e.Kind == Wildcard {
		return "hosts that it covers need no announcement any more: wait " + Days(d.notice) + " before you add one"
	}
	if e.Since.IsZero() {
		return d.late(d.now, "used", "announce it with `from`")
	}
	return d.late(e.Since, "used", "announce it with a later `from`")
}

// allowed reports whether a user who followed the old list may reach e now: a rule for the same host permits every
// bucket there, unless the user has a policy for buckets.
func (d *differ) allowed(e *Endpoint) bool {
	return e.Bucket == "" && slices.ContainsFunc(d.old.Endpoints, func(o Endpoint) bool {
		return o.Port == e.Port && Covers(o.Host, e.Host)
	})
}

// late warns if t comes before the notice is over.
func (d *differ) late(t time.Time, what, remedy string) string {
	if !t.Before(d.now.Add(d.notice)) {
		return ""
	}
	return fmt.Sprintf("%s with less notice than %s: %s", what, Days(d.notice), remedy)
}

func (d *differ) removed(e *Endpoint, next *List) string {
	switch {
	case d.notice == 0 || len(next.Find(e.Host, e.Port)) > 0 && e.Bucket == "":
		return ""
	case d.now.Before(e.Since):
		return "" // no client was ever sent there
	case e.Until.IsZero():
		return "removed without notice: announce its end with `until`, and remove it after that date"
	case d.now.Before(e.Until):
		return "removed before its announced end, " + e.Until.Format(time.RFC3339)
	}
	return ""
}

func (d *differ) changed(was, is *Endpoint) string {
	if d.notice == 0 {
		return ""
	}
	earlier := is.Since.Before(was.Since) && d.now.Before(was.Since)
	if earlier {
		if w := d.late(is.Since, "used", "announce it with a later `from`"); w != "" && !d.allowedBefore(was, is) {
			return w
		}
	}
	if !is.Until.IsZero() && (was.Until.IsZero() || is.Until.Before(was.Until)) {
		return d.late(is.Until, "ends", "announce it with a later `until`")
	}
	return ""
}

// allowedBefore reports whether a published wildcard of the old list covers an endpoint whose date moved.
func (d *differ) allowedBefore(was, is *Endpoint) bool {
	return is.Bucket == "" && slices.ContainsFunc(d.old.Endpoints, func(o Endpoint) bool {
		return o.Host != was.Host && o.Port == is.Port && Covers(o.Host, is.Host)
	})
}

// Days writes a notice in days, if it is a number of days.
func Days(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "1 day"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
