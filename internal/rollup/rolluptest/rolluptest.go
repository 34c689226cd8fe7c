// Package rolluptest makes logs of Amazon S3 whose sums are known, for tests and benchmarks of roll-ups.
package rolluptest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/place"
	"ociproxy/internal/rollup"
	"ociproxy/internal/traffic"
)

// Config is the config of the stores in the logs.
const Config = `
version: 1
location: aws/eu-central-1
upstreams:
  - {name: main, url: "https://registry.example.org", place: gcp/us-central1, canonical: true}
stores:
  - name: s3-fra
    place: aws/eu-central-1
    url: "https://layers-fra.s3.dualstack.eu-central-1.amazonaws.com/containers/images/{digest}"
    serves: [aws]
  - name: s3-use1
    place: aws/us-east-1
    url: "https://layers-use1.s3.dualstack.us-east-1.amazonaws.com/containers/images/{digest}"
    serves: [aws]
ranges:
  overrides:
    - {cidr: 203.0.113.0/24, place: aws/eu-central-1}
    - {cidr: 198.51.100.0/24, place: gcp/us-central1}
    - {cidr: 192.0.2.0/24, place: azure/westeurope}
`

// clients are the first three numbers of addresses, and their places.
var clients = []struct {
	net   string
	place place.Place
}{
	{"203.0.113.", place.Place{Cloud: "aws", Region: "eu-central-1"}},
	{"198.51.100.", place.Place{Cloud: "gcp", Region: "us-central1"}},
	{"192.0.2.", place.Place{Cloud: "azure", Region: "westeurope"}},
}

// Line is one download.
type Line struct {
	At     time.Time
	Client int    // index of clients
	Host   int    // last number of the address
	Store  string // s3-fra or s3-use1
	Digest int
	Bytes  int64
	ID     uint64
}

// Lines makes n lines of a day, of so many digests.
func Lines(r *rand.Rand, day traffic.Day, n, digests int) []Line {
	all := make([]Line, n)
	for i := range all {
		all[i] = Line{
			At: day.Time().Add(time.Duration(r.Int64N(int64(24 * time.Hour)))).Truncate(time.Second), Client: r.IntN(len(clients)), Host: r.IntN(256),
			Store: []string{"s3-fra", "s3-use1"}[r.IntN(2)], Digest: r.IntN(digests), Bytes: r.Int64N(64 << 20), ID: r.Uint64(),
		}
	}
	return all
}

// Hex returns the hexadecimal part of the digest of a line.
func (l *Line) Hex() string { return fmt.Sprintf("%064x", 0x9e3779b97f4a7c15*uint64(l.Digest+1)) }

// Append appends the line as the server access log of S3 has it.
func (l *Line) Append(to []byte) []byte {
	region := map[string]string{"s3-fra": "eu-central-1", "s3-use1": "us-east-1"}[l.Store]
	bucket := "layers-" + l.Store[len("s3-"):]
	return fmt.Appendf(to, "9a1e0c2f4b7d8e3a6c5f0b1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f60718293a4b5 %[1]s [%[2]s] %[3]s%[4]d - %016[5]X REST.GET.OBJECT "+
		"containers/images/sha256%%253A%[6]s \"GET /containers/images/sha256:%[6]s HTTP/1.1\" 200 - %[7]d %[7]d 120 11 \"-\" \"containerd/2.1.4\" - "+
		"h0StId/w1th+Base64AndMore= - ECDHE-RSA-AES128-GCM-SHA256 - %[1]s.s3.dualstack.%[8]s.amazonaws.com TLSv1.3 - - %[8]s\n",
		bucket, l.At.Format("02/Jan/2006:15:04:05 -0700"), clients[l.Client].net, l.Host, l.ID, l.Hex(), l.Bytes, region)
}

// Text returns lines as a log.
func Text(lines []Line) []byte {
	var out []byte
	for i := range lines {
		out = lines[i].Append(out)
	}
	return out
}

// Sums adds up lines in the simplest way. A line whose id was there within an hour before does not count.
func Sums(lines []Line) []traffic.Row {
	sorted := slices.Clone(lines)
	slices.SortStableFunc(sorted, func(a, b Line) int { return a.At.Compare(b.At) })
	kept, sums := map[string]time.Time{}, map[traffic.Key]*traffic.Row{}
	for _, l := range sorted {
		id := fmt.Sprint(l.Store, l.ID)
		if at, ok := kept[id]; ok && l.At.Sub(at) <= time.Hour {
			continue
		}
		kept[id] = l.At
		key := traffic.Key{
			Day: traffic.DayOf(l.At), Client: clients[l.Client].place, Store: l.Store, Class: traffic.Client, Operation: traffic.Get, Source: traffic.FromStore,
		}
		if sums[key] == nil {
			sums[key] = &traffic.Row{Key: key}
		}
		b := float64(l.Bytes)
		sums[key].Add(&traffic.Row{Requests: 1, Bytes: b, Lines: 1, Squares: b * b})
	}
	return ordered(sums)
}

// Merged adds up rows with the same key, which several files may have.
func Merged(rows []traffic.Row) []traffic.Row {
	sums := map[traffic.Key]*traffic.Row{}
	for i := range rows {
		if sums[rows[i].Key] == nil {
			sums[rows[i].Key] = &traffic.Row{Key: rows[i].Key}
		}
		sums[rows[i].Key].Add(&rows[i])
	}
	return ordered(sums)
}

func ordered(sums map[traffic.Key]*traffic.Row) []traffic.Row {
	out := make([]traffic.Row, 0, len(sums))
	for _, r := range sums {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b traffic.Row) int { return rollup.Compare(&a, &b) })
	return out
}

// Differ says where rows differ in what is exact: requests, bytes, lines; "" if they do not.
func Differ(want, got []traffic.Row) string {
	var out strings.Builder
	exact := func(rows []traffic.Row) map[traffic.Key]traffic.Row {
		m := map[traffic.Key]traffic.Row{}
		for _, r := range rows {
			r.Squares = 0
			m[r.Key] = r
		}
		return m
	}
	w, g := exact(want), exact(got)
	for k, r := range w {
		if g[k] != r {
			fmt.Fprintf(&out, "want %v\ngot  %v\n", r, g[k])
		}
	}
	for k, r := range g {
		if _, ok := w[k]; !ok {
			fmt.Fprintf(&out, "not wanted: %v\n", r)
		}
	}
	return out.String()
}
