package traffic

import (
	"fmt"
	"time"

	"ociproxy/internal/place"
)

// Day is a day in UTC: the number of days since 1 January 1970. The zero Day means that the day is not known.
type Day int32

// DayOf returns the day of a time.
func DayOf(t time.Time) Day {
	if t.IsZero() {
		return 0
	}
	return Day(t.Unix() / 86400)
}

// Time returns the beginning of the day in UTC.
func (d Day) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String returns the day as 2026-12-10.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// ParseDay reads a day of the years 2000 to 2200, for example 2026-12-10.
func ParseDay(text string) (Day, error) {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil || at.Year() < 2000 || at.Year() > 2200 {
		return 0, fmt.Errorf("%.40q is no day: want for example 2026-12-10", text)
	}
	return DayOf(at), nil
}

// Class says for whom a request was made. All classes are priced, and only [Client] and [Endpoint] are downloads of
// clients.
type Class string

// These are the classes.
const (
	// Client is a download by a client.
	Client Class = "client"
	// Endpoint is a download by a client in the store's own region, through an endpoint of the provider's network: the
	// store's log has a private address, or none. It costs nothing.
	Endpoint Class = "endpoint"
	// Origin is a CDN that fetches from the bucket behind it.
	Origin Class = "origin"
	// Own is our own traffic: probes, audits, the mirror.
	Own Class = "own"
	// Lifecycle is the provider's work on the bucket: expiry, transitions.
	Lifecycle Class = "lifecycle"
	// Copy is a copy between buckets, by replication or by the provider.
	Copy Class = "copy"
)

// Classes lists all classes.
func Classes() []Class { return []Class{Client, Endpoint, Origin, Own, Lifecycle, Copy} }

// Operation is what a request does, as far as prices distinguish it.
type Operation string

// These are the operations.
const (
	Get    Operation = "get"
	Head   Operation = "head"
	Put    Operation = "put" // also parts of an upload, and the beginning and end of it
	CopyOf Operation = "copy"
	List   Operation = "list"
	Delete Operation = "delete"
	Other  Operation = "other"
)

// Source is what a row was counted from.
type Source string

// These are the sources. One request is in at most one row of each source.
const (
	FromPrometheus Source = "prometheus" // the counters of the proxy
	FromProxy      Source = "proxy"      // the request log of the proxy
	FromStore      Source = "store"      // the access log of a store or CDN
)

// Key is what requests have in common that are counted together.
type Key struct {
	Day       Day
	Client    place.Place // where the client is; zero: not known
	Store     string      // the name in the config of a store or upstream
	Class     Class
	Operation Operation
	Reason    string // why the proxy chose the store; "" where the source does not say
	// Repository is the repository of the image; "" where the source does not say. The proxy's log does, bucket logs
	// do not.
	Repository string
	Source     Source
}

// Row is the sum of requests with the same key.
type Row struct {
	Key
	// Requests is how many requests there were: the sum of the weights of the lines.
	Requests float64
	// Bytes is how many bytes were sent, or, where only the proxy was asked, were to be sent: weighted.
	Bytes float64
	// Lines is how many lines of a log the row was counted from; 0 for Prometheus.
	Lines int64
	// Squares is the sum over lines of (weight × bytes)². It tells how far Bytes of a sampled log may be off.
	Squares float64
}

// Add adds the counts of o, whatever its key.
func (r *Row) Add(o *Row) {
	r.Requests += o.Requests
	r.Bytes += o.Bytes
	r.Lines += o.Lines
	r.Squares += o.Squares
}

// Object is the sum of requests for one digest in a month, of one client place.
type Object struct {
	Digest   string // sha256:…
	Month    Day    // the first day of the month
	Client   place.Place
	Requests float64
	Bytes    float64
}
