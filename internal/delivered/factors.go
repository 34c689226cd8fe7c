package delivered

import (
	"fmt"
	"maps"
	"slices"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

// Factor says which part of the bytes that were asked for was sent.
type Factor struct {
	Class    Class   // of which it was learned: that of the question, or a wider one
	Ratio    float64 // sent ÷ asked for
	Error    float64 // its standard error, from the differences between the days; NaN when there is only one
	Requests float64
	Days     int
}

// Factors are the factors of all classes. They do not change, and are safe for concurrent use. A nil *Factors corrects nothing.
type Factors struct {
	days    map[storeDay]bool // from which was learned
	of      map[Class]Factor
	unequal []Unequal
}

type storeDay struct {
	store string
	day   traffic.Day
}

// Known reports whether anything was learned.
func (f *Factors) Known() bool { return f != nil && len(f.of) > 0 }

// Days returns the days from which was learned, in order.
func (f *Factors) Days() []traffic.Day {
	days := map[traffic.Day]bool{}
	for at := range f.days {
		days[at.day] = true
	}
	return slices.Sorted(maps.Keys(days))
}

// Unequal returns the stores and days from which nothing was learned although they have logs.
func (f *Factors) Unequal() []Unequal { return f.unequal }

// Of returns the factor of a class, or of the narrowest wider class of which enough is known. Without one the ratio is 1.
func (f *Factors) Of(c Class) Factor {
	if f != nil {
		for _, wide := range c.wider() {
			if is, ok := f.of[wide]; ok {
				is.Class = wide
				return is
			}
		}
	}
	return Factor{Ratio: 1}
}

// OwnDayError reports that a factor was to be applied to a day of a store from which it was learned: what agrees then proves
// nothing.
type OwnDayError struct{ Day traffic.Day }

func (e *OwnDayError) Error() string {
	return fmt.Sprintf("the factors were learned on %s: use the store's log itself, or factors of other days", e.Day)
}

// Apply corrects the bytes of a line of the proxy's log that counts for use. The error is an [*OwnDayError].
func (f *Factors) Apply(use *usage.Use, rec *accesslog.Record) error {
	_, _, err := f.apply(use, rec)
	return err
}

// apply also returns the factor, and whether the line is one that has a factor.
func (f *Factors) apply(use *usage.Use, rec *accesslog.Record) (of Factor, ok bool, err error) {
	if f == nil || !is(&use.Key) || use.Source != traffic.FromProxy {
		return Factor{}, false, nil
	}
	if f.days[storeDay{use.Store, use.Day}] {
		return Factor{}, false, &OwnDayError{use.Day}
	}
	of = f.Of(Class{Store: use.Store, Kind: KindOf(rec.UserAgent), Size: SizeOf(rec.Size)})
	use.Bytes *= of.Ratio
	use.Squares *= of.Ratio * of.Ratio
	return of, true, nil
}
