package proxy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"

	"ociproxy/internal/console/view"
)

// boxed answers the console's box.
type boxed struct{ s *Server }

var errAsked = errors.New("an IPv4 or IPv6 address is wanted, such as 192.0.2.7")

// Box returns what answers the console's box: [Server.ExplainHost], as the console shows it.
func (s *Server) Box() view.Explainer { return boxed{s} }

// Explain implements [view.Explainer].
func (b boxed) Explain(ctx context.Context, q view.Question) (*view.Explanation, error) {
	addr, err := netip.ParseAddr(q.Address)
	if err != nil {
		return nil, errAsked
	}
	path := q.Path
	if path != "" && !strings.HasPrefix(path, "/") {
		path = "/v2/" + path
	}
	e, err := b.s.ExplainHost(ctx, addr, q.Host, path)
	if err != nil {
		return nil, err
	}
	out := e.Shown()
	out.Question = q
	return out, nil
}

// Shown returns e as the console shows it.
func (e *Explanation) Shown() *view.Explanation {
	out := &view.Explanation{
		Question: view.Question{Address: e.Address, Host: e.Host, Path: e.Path}, Place: e.Place,
		By: strings.Trim(e.source(), " ()"), Notes: e.Notes, Location: e.Answer.Location,
	}
	for _, c := range e.Candidates {
		verdict := c.Verdict
		if c.PriceOf != "" {
			verdict += " (" + c.PriceOf + ")"
		}
		out.Rows = append(out.Rows, view.Row{Taken: c.Taken, Name: c.Name, Kind: c.Kind, Place: c.Place,
			RTT: finite(c.RTT), Cents: finite(c.Cents), Score: finite(c.printed), Verdict: verdict})
	}
	out.Answer = fmt.Sprint(e.Answer.Status)
	if e.Answer.Candidate != "" {
		out.Answer += fmt.Sprintf(" %s (reason: %s)", e.Answer.Candidate, e.Answer.Reason)
	}
	if e.Answer.Error != "" {
		out.Answer += " " + e.Answer.Error
	}
	return out
}

// finite returns f, or NaN for what is not a number of anything.
func finite(f float64) float64 {
	if math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}
