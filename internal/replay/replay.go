package replay

import (
	"net/netip"
	"strings"
	"time"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/oci"
	"ociproxy/internal/place"
	"ociproxy/internal/price"
	"ociproxy/internal/route"
	"ociproxy/internal/snapshot"
)

// Options are what [New] takes. Only Old and Next are required.
type Options struct {
	Old, Next *Side
	// Host is the name of the registry that clients ask for, where the log does not say. "": no direct name.
	Host string
	// BlobSize is the size of a blob, in bytes, of which the log gives no size. 0: its bytes do not count.
	BlobSize int64
	// MonthRequests is how many requests a month has. 0: as many as the log, for the time that it covers.
	MonthRequests float64
}

// Replay decides requests under two configs, and sums up. Its memory depends on the number of places and candidates, not
// on that of requests. It is not safe for concurrent use.
type Replay struct {
	opt     Options
	all     *union
	places  []string
	index   map[place.Place]int32
	cells   map[key]*cell
	skipped Skipped
	logged  logged
	first   time.Time
	last    time.Time
	hours   map[int64]struct{} // since 1970, that have a request
	hour    int64              // of the last request
}

// key is what requests are summed up by.
type key struct {
	place    int32 // of places
	from, to int16 // of union.names; denied
	choice   choice
}

// denied stands for the answer that the config forbids the request.
const denied = -1

// choice says how the number of candidates that could answer changes.
type choice int8

const (
	same   choice = iota
	lost          // only one is left
	gained        // there was only one
)

// cell is the sum of requests with the same key.
type cell struct {
	requests, bytes, unsized float64
	usd, ms                  [2]float64 // by side; ms is weighted by requests
	example                  Example
}

// New begins a replay.
func New(opt Options) *Replay {
	return &Replay{
		opt: opt, all: newUnion(opt.Old.snap, opt.Next.snap),
		index: map[place.Place]int32{}, cells: map[key]*cell{}, logged: newLogged(), hours: map[int64]struct{}{},
	}
}

// Skipped counts the requests of a log that are not decided. The numbers are weighted as those of the others.
type Skipped struct {
	Heads   float64 `json:"heads"`   // requests by HEAD and other methods, which download nothing
	Refused float64 `json:"refused"` // answered with an error, but for those that the config denied
	Others  float64 `json:"others"`  // no blob and no manifest
	Probes  float64 `json:"probes"`  // of the probe, which is no client
}

// Add takes one request of a log.
func (r *Replay) Add(rec *accesslog.Record) {
	q, ok := r.question(rec)
	if !ok {
		return
	}
	r.span(rec.Time)
	was, is, exact := both(r.opt.Old, r.opt.Next, &q)
	r.logged.note(rec, r.opt.Old, was.candidate)
	k := key{place: r.place(is.at), from: denied, to: denied}
	if was.candidate >= 0 {
		k.from = int16(r.all.old[was.candidate])
	}
	if is.candidate >= 0 {
		k.to = int16(r.all.next[is.candidate])
	}
	switch {
	case was.choices > 1 && is.choices == 1:
		k.choice = lost
	case was.choices == 1 && is.choices > 1:
		k.choice = gained
	}
	c := r.cells[k]
	if c == nil {
		c = &cell{}
		r.cells[k] = c
	}
	if exact && !c.example.Address.IsValid() && q.addr.IsValid() {
		c.example = r.exampleOf(&q)
	}
	c.add(rec.Weight, r.size(&q, rec), &was, &is)
}

func (c *cell) add(weight, bytes float64, was, is *answer) {
	c.requests += weight
	if bytes < 0 {
		c.unsized += weight
		bytes = 0
	}
	c.bytes += weight * bytes
	for i, a := range []*answer{was, is} {
		c.usd[i] += price.USD(weight*bytes, a.cents, price.GiB)
		c.ms[i] += weight * a.rtt
	}
}

// These are the statuses that mean something here. The package knows no HTTP besides.
const (
	statusWhole  = 200 // the front sent the blob itself
	statusPart   = 206
	statusDenied = 403
)

// question makes a question of a record, or counts why it is none.
func (r *Replay) question(rec *accesslog.Record) (q question, ok bool) {
	skip := &r.skipped.Others
	req, err := oci.Parse(rec.Path, "")
	switch {
	case rec.Probe:
		skip = &r.skipped.Probes
	case err != nil || req.Kind != oci.KindBlob && req.Kind != oci.KindManifest && req.Kind != oci.KindTag:
	case rec.Method != "GET":
		skip = &r.skipped.Heads
	case rec.Status >= 400 && rec.Status != statusDenied:
		skip = &r.skipped.Refused
	default:
		q = question{Request: req, addr: rec.Client, host: rec.Host}
		if q.host == "" {
			q.host = r.opt.Host
		}
		if !rec.Client.IsValid() || rec.Network {
			q.at, _ = place.Parse(rec.Place) // no place: not known
		}
		return q, true
	}
	*skip += rec.Weight
	return q, false
}

// size returns how many bytes the client downloads; -1: unknown. Manifests are small and count as nothing.
func (r *Replay) size(q *question, rec *accesslog.Record) float64 {
	if q.Kind != oci.KindBlob {
		return 0
	}
	n := rec.Size
	if n < 0 && (rec.Status == statusWhole || rec.Status == statusPart) {
		n = rec.Sent // the front delivered the blob itself
	}
	switch {
	case n >= 0 && n <= oci.MaxBlob:
		return float64(n)
	case r.opt.BlobSize > 0:
		return float64(r.opt.BlobSize)
	}
	return -1
}

func (r *Replay) span(at time.Time) {
	if at.IsZero() {
		return
	}
	if r.first.IsZero() || at.Before(r.first) {
		r.first = at
	}
	if at.After(r.last) {
		r.last = at
	}
	if hour := at.Unix() / 3600; hour != r.hour && len(r.hours) < maxHours {
		r.hour = hour
		r.hours[hour] = struct{}{}
	}
}

// maxHours bounds what a log with nonsense for times can fill. It is seven years.
const maxHours = 1 << 16

func (r *Replay) place(at place.Place) int32 {
	i, ok := r.index[at]
	if !ok {
		i = int32(len(r.places))
		r.places = append(r.places, placeName(at.String()))
		r.index[at] = i
	}
	return i
}

// Example is a request that explain can explain.
type Example struct {
	Address netip.Addr `json:"address,omitzero"` // absent when no request of the kind has one that explain locates as the log does
	Host    string     `json:"host,omitempty"`   // only a direct name
	Path    string     `json:"path,omitempty"`
}

// exampleOf copies what it keeps. The parts of the path are of the specification's grammar, so they are safe in a command
// line.
func (r *Replay) exampleOf(q *question) Example {
	e := Example{Address: q.addr, Path: "/v2/" + q.Name}
	switch q.Kind {
	case oci.KindBlob:
		e.Path += "/blobs/" + q.Digest.String()
	case oci.KindManifest:
		e.Path += "/manifests/" + q.Digest.String()
	default:
		e.Path += "/manifests/" + q.Tag
	}
	if r.opt.Old.names.Of(q.host) != nil || r.opt.Next.names.Of(q.host) != nil {
		e.Host = strings.Clone(q.host)
	}
	return e
}

// logged compares the decisions in the log with those of the old config.
type logged struct {
	alike, differ float64
	reasons       map[string]float64
}

func newLogged() logged {
	l := logged{reasons: map[string]float64{}}
	for _, why := range route.Reasons() {
		l.reasons[why.String()] = 0
	}
	return l
}

func (l *logged) note(rec *accesslog.Record, old *Side, candidate int) {
	if rec.Candidate == "" {
		return
	}
	if candidate >= 0 && old.snap.Candidates[candidate].Name == rec.Candidate {
		l.alike += rec.Weight
		return
	}
	l.differ += rec.Weight
	if _, known := l.reasons[rec.Reason]; known { // a log is not trusted to have only these
		l.reasons[rec.Reason] += rec.Weight
	}
}

// Changes lists by name the stores and upstreams that differ, and in what.
func (r *Replay) Changes() []string { return snapshot.Differ(r.opt.Next.cfg, r.opt.Old.cfg) }
