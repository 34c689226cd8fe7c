package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"text/tabwriter"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

// Explanation says how the proxy answers a request of an address, and why. Its JSON form is an interface: fields are
// only added.
type Explanation struct {
	Address string `json:"address"`
	// Place is `cloud/region`; `cloud`, or `cloud/partition` such as `aws/us-gov`, when the region is unknown; "" when
	// nothing is known.
	Place string `json:"place"`
	// By says what located the address: override, feed, geoip, or "" for nothing.
	By     string `json:"by"`
	Feed   string `json:"feed,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	// Unlisted is the region as the feed spells it, when the map does not know it.
	Unlisted string `json:"unlisted_region,omitempty"`
	// Host is the registry's name in the request; "" when there was none.
	Host string `json:"host,omitempty"`
	// Path is what was asked for; "" when only the ranking for a blob was. Then every candidate counts as holding it.
	Path       string               `json:"path"`
	Candidates []ExplainedCandidate `json:"candidates"`
	// Notes say what is special about the client, and about the candidates that may answer it.
	Notes []string `json:"notes,omitempty"`
	// Overrides are those that hold and concern candidates, this client or this request.
	Overrides []ShownOverride `json:"overrides,omitempty"`
	// Returning are the candidates that come back after an override.
	Returning []ShownReturn   `json:"returning,omitempty"`
	Answer    ExplainedAnswer `json:"answer"`
}

// ExplainedCandidate is one row of the ranking.
type ExplainedCandidate struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Place string `json:"place"`
	// RTT is in ms, Cents in US cents per GiB, Score = RTT + costWeight × Cents.
	RTT       float64 `json:"rtt_ms"`
	Cents     float64 `json:"cents_per_gb"`
	PriceOf   string  `json:"price_basis"`
	Estimated bool    `json:"price_estimated,omitempty"`
	Score     float64 `json:"score"`
	Verdict   string  `json:"verdict"`
	Taken     bool    `json:"taken"`

	printed float64 // Score as it is compared
}

// ExplainedAnswer is what the client gets.
type ExplainedAnswer struct {
	Status    int    `json:"status"`
	Candidate string `json:"candidate,omitempty"`
	Location  string `json:"location,omitempty"`
	Reason    string `json:"reason,omitempty"`
	// Until is with the reason `retried`: when the candidate that failed gets another chance with this address, in
	// UTC. What the address asks for until then may change it.
	Until time.Time `json:"until,omitzero"`
	Error string    `json:"error,omitempty"`
}

var errNoPath = errors.New("no path of a registry: want /v2/NAME/manifests/TAG or /v2/NAME/blobs/DIGEST")

// anyBlob stands for "some blob that every candidate holds".
const anyBlob = "/v2/any/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Explain says how the proxy answers a GET of path by addr, and why. An empty path ranks the candidates for a blob
// that all of them hold, without any request. With a path, the proxy asks candidates as for a real request. It
// returns an error when path is not a valid path.
func (s *Server) Explain(ctx context.Context, addr netip.Addr, path string) (*Explanation, error) {
	return s.ExplainHost(ctx, addr, "", path)
}

// ExplainHost is [Server.Explain] for a request with that Host header, for one of the registry's names. It also
// answers requests that the name's maxRPS would refuse.
func (s *Server) ExplainHost(ctx context.Context, addr netip.Addr, host, path string) (*Explanation, error) {
	addr = addr.Unmap().WithZone("")
	w := s.wiring.Load()
	at := w.ranges.Locate(addr)
	e := &Explanation{Address: addr.String(), Place: at.Place.String(), By: at.By, Host: host, Path: path}
	if at.Entry != nil {
		e.Feed, e.Prefix = at.Entry.Feed, at.Entry.Prefix.String()
		if !at.Entry.HasSpot {
			e.Unlisted = at.Entry.Region
		}
	}
	if from := s.fallback.Load(); from != nil {
		e.Notes = append(e.Notes, "this server started on the fallback "+from.File+", because it could not use "+s.source.String())
	}
	if p := s.opt.Publication; p != nil {
		e.Notes = append(e.Notes, fmt.Sprintf("the config is generation %s of the ring %s of %s", w.from, p.Ring(), p))
	}
	q := request{client: w.client(addr, at), get: true, peer: addr, peek: true}
	if host != "" {
		n := w.name(host)
		if n != nil {
			q.client.Confined = n.confined
		}
		e.Notes = append(e.Notes, n.note(host))
	}
	d := decision{state: route.State{Usable: w.health.Usable(), Holds: w.all}}
	target := path
	if path == "" {
		target = anyBlob
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	if q.Request, err = oci.Parse(r.URL.EscapedPath(), r.URL.RawQuery); err != nil {
		if err == oci.ErrUnsupported { //nolint:errorlint // errors.Is would also match others with its code, which say more
			err = errNoPath
		}
		return nil, fmt.Errorf("path: %w", err)
	}
	e.Returning = s.showOverrides().Returning
	if q.Kind == oci.KindBase {
		e.Answer = ExplainedAnswer{Status: http.StatusOK}
		return e, nil
	}
	if path == "" {
		d.Decision = route.Decide(&q.Request, &q.client, w.snapshot, &d.state)
		s.retry(ctx, w, &q, &d)
	} else {
		s.decide(ctx, w, &q, &d)
	}
	e.fill(w, &q, &d)
	return e, nil
}

func (e *Explanation) fill(w *wiring, q *request, d *decision) {
	for _, row := range route.Explain(&q.Request, &q.client, w.snapshot, &d.state, d.Decision) {
		c := &w.snapshot.Candidates[row.Candidate]
		at := c.Place.String()
		if c.CDN != "" {
			at = c.CDN
		}
		e.Candidates = append(e.Candidates, ExplainedCandidate{
			Name: c.Name, Kind: c.Kind.String(), Place: at, RTT: row.RTT, Cents: row.Price.Cents,
			PriceOf: row.Price.Basis, Estimated: row.Price.Estimate, Score: row.Score,
			Verdict: row.Verdict, Taken: row.Taken, printed: float64(row.Tenths()) / 10,
		})
	}
	e.overridden(w, q, d)
	if note := w.snapshot.Note(&q.Request, &q.client); note != "" {
		e.Notes = append(e.Notes, note)
	}
	if d.Reason == route.Retried {
		e.retried(w.snapshot.Candidates[d.past].Name, d.until)
	}
	e.Answer.Reason = d.Reason.String()
	switch {
	case d.Action == route.Deny:
		e.Answer.Status, e.Answer.Error = oci.ErrDenied.Status, oci.ErrDenied.Error()
		return
	case d.refused != nil:
		e.Answer.Status, e.Answer.Error = d.refused.Status, d.refused.Error()
		return
	case d.Action == route.Relay:
		e.Answer.Status = http.StatusOK
	default:
		e.Answer.Status = http.StatusTemporaryRedirect
	}
	c := &w.snapshot.Candidates[d.Candidate]
	e.Answer.Candidate = c.Name
	if e.Path != "" {
		e.Answer.Location = c.Location(q.Request)
	}
	if c.RequestID && q.Kind == oci.KindBlob {
		e.Notes = append(e.Notes, "each redirect to "+c.Name+" carries an id of its own ("+ridQuery[1:]+"…), which the request log has as rid")
	}
}

// retried explains that the address is sent past a candidate because of what it asked for before.
func (e *Explanation) retried(past string, until time.Time) {
	e.Answer.Until = until.UTC()
	e.Notes = append(e.Notes, fmt.Sprintf("this address asked again for what %s was to deliver, so it is sent past %s: "+
		"until %s, or longer if it keeps asking. No other address is affected", past, past, e.Answer.Until.Format(time.RFC3339)))
}

// WriteText writes e as text for operators. The error is w's.
func (e *Explanation) WriteText(w io.Writer) error {
	out := new(bytes.Buffer)
	where := e.Place
	if where == "" {
		where = "unknown place"
	}
	fmt.Fprintf(out, "address  %s\nplace    %s%s\n", e.Address, where, e.source())
	if e.Host != "" {
		fmt.Fprintf(out, "host     %s\n", e.Host)
	}
	if e.Path != "" {
		fmt.Fprintf(out, "request  GET %s\n", e.Path)
	} else {
		fmt.Fprintln(out, "request  any blob that every candidate holds")
	}
	if len(e.Candidates) > 0 {
		fmt.Fprintln(out)
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "\tCANDIDATE\tKIND\tPLACE\tRTT ms\tCENTS/GIB\tSCORE\tWHY")
		for _, c := range e.Candidates {
			mark, price := "", fmt.Sprintf("%.2f", c.Cents)
			if c.Taken {
				mark = "→"
			}
			if c.Estimated {
				price = "~" + price
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f\t%s\t%.1f\t%s (%s)\n", mark, c.Name, c.Kind, c.Place, c.RTT, price, c.printed, c.Verdict, c.PriceOf)
		}
		_ = t.Flush() // to memory: no error
		fmt.Fprintln(out)
	}
	for _, note := range e.Notes {
		fmt.Fprintf(out, "note     %s\n", note)
	}
	a := e.Answer
	fmt.Fprintf(out, "answer   %d", a.Status)
	if a.Candidate != "" {
		fmt.Fprintf(out, " %s (%s)", a.Candidate, a.Reason)
	}
	if a.Error != "" {
		fmt.Fprintf(out, " %s", a.Error)
	}
	fmt.Fprintln(out)
	if a.Location != "" {
		fmt.Fprintf(out, "         %s\n", a.Location)
	}
	_, err := w.Write(out.Bytes())
	return err
}

func (e *Explanation) source() string {
	switch {
	case e.Unlisted != "":
		return fmt.Sprintf(" (%s of %s; its region %s is not on the map)", e.Prefix, e.Feed, e.Unlisted)
	case e.Prefix != "":
		return fmt.Sprintf(" (%s of %s)", e.Prefix, e.Feed)
	case e.By != "":
		return " (" + e.By + ")"
	default:
		return " (no override, feed or GeoIP names it)"
	}
}
