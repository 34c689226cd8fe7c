package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
	"ociproxy/internal/route"
)

// relayTimeout is the time limit for one upstream.
const relayTimeout = 5 * time.Second

// refused is an upstream's answer that is not the upstream's fault: clients get it unchanged.
type refused struct {
	answer *oci.Error
	after  time.Duration // Retry-After; 0: none
}

// Error implements error.
func (r *refused) Error() string { return r.answer.Error() }

// relay fetches a tag list and passes it on under the name that the client asked for, because clients follow
// pagination links only on the host that they asked. Canonical answers when the near upstream fails or refuses. When
// the link to the next page cannot be followed and there is no better list, relay passes the list on without the
// link.
func (s *Server) relay(ctx context.Context, w *wiring, q *request, d *decision) (a response) {
	share, full := s.relays.acquire(q.network())
	if full != nil {
		a = refusal(full)
		a.by, a.why = d.Candidate, d.Reason
		return a
	}
	i, why := d.Candidate, d.Reason
	defer func() { a.by, a.why, a.done = i, why, share.release }()
	var odd *tagList // the near upstream's
	for {
		list, err := s.fetchTags(ctx, &w.snapshot.Candidates[i], q.Request, share, odd.size())
		if err == nil && list.empty && i != w.snapshot.Canonical {
			// distribution answers so for a later page (last=…) of a repository that it does not have. Canonical sent
			// the first page.
			err = &refused{answer: oci.ErrNameUnknown}
		}
		if ctx.Err() != nil {
			a = refusal(oci.ErrUnavailable.With("the client went away")) // not a fault, and no client reads it
			a.err, a.gone = nil, true
			return a
		}
		no, isRefused := errors.AsType[*refused](err)
		if !q.probed() {
			s.metrics.Relays.WithLabelValues(w.snapshot.Candidates[i].Name, relayResult(&list, err)).Inc()
			if err != nil && !isRefused && !errors.Is(err, errBusy) {
				w.health.Suspect(i)
			}
		}
		last := i == w.snapshot.Canonical
		switch {
		case err == nil && list.odd != nil && !last:
			odd = &list
		case err == nil:
			return list.response(share)
		case last && odd != nil:
			return odd.response(share)
		case errors.Is(err, errBusy):
			return refusal(share.busy())
		case last && isRefused:
			a = refusal(no.answer)
			a.after = no.after
			return a
		case last:
			a = refusal(oci.ErrUnavailable.With("the tag list cannot be fetched now"))
			a.err = err
			return a
		}
		i, why = w.snapshot.Canonical, route.LastResort
		if !w.allow(q, i) {
			if odd != nil {
				return odd.response(share)
			}
			return refusal(oci.ErrTooManyRequests)
		}
	}
}

// response answers with l, and frees the memory that reading it took beyond its size.
func (l *tagList) response(share *relayShare) response {
	share.resize(l.size())
	return response{status: http.StatusOK, body: l.body, json: true, link: l.link, err: l.odd}
}

func relayResult(l *tagList, err error) string {
	no, isRefused := errors.AsType[*refused](err)
	switch {
	case err == nil && l.odd != nil:
		return "odd-link"
	case err == nil:
		return "ok"
	case errors.Is(err, errBusy):
		return "busy"
	case isRefused && no.answer.Status == http.StatusNotFound:
		return "not-found"
	case isRefused:
		return "refused"
	default:
		return "failed"
	}
}

// fetchTags asks one upstream. kept bytes of the share are already in use.
func (s *Server) fetchTags(ctx context.Context, c *route.Candidate, req oci.Request, share *relayShare, kept int64) (tagList, error) {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	asked, _ := resume(req)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Location(asked), nil)
	if err != nil {
		return tagList{}, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "oci-proxy")
	client := *s.client
	client.CheckRedirect = outbound.OneRedirect
	resp, err := client.Do(r)
	if err != nil {
		return tagList{}, err
	}
	defer resp.Body.Close()
	if err := refusedBy(resp, &req); err != nil {
		return tagList{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return tagList{}, fmt.Errorf("%s: status %d", c.Name, resp.StatusCode)
	}
	list, err := rewriteTags(share.reader(resp.Body, kept), resp.Header, req)
	if err != nil {
		return tagList{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	return list, nil
}

// refusedBy turns an upstream's refusal into an error with the code of the specification; nil when it is not a
// refusal. It does not pass on the upstream's body or its authentication challenge.
func refusedBy(resp *http.Response, req *oci.Request) error {
	answer := map[int]*oci.Error{
		http.StatusBadRequest:      oci.ErrNameInvalid,
		http.StatusUnauthorized:    oci.ErrUnauthorized,
		http.StatusForbidden:       oci.ErrDenied,
		http.StatusNotFound:        oci.ErrNameUnknown,
		http.StatusGone:            oci.ErrNameUnknown,
		http.StatusTooManyRequests: oci.ErrTooManyRequests,

		http.StatusPaymentRequired:             oci.ErrDenied,
		http.StatusUnavailableForLegalReasons:  oci.ErrDenied,
		http.StatusRequestURITooLong:           oci.ErrLastInvalid,
		http.StatusRequestHeaderFieldsTooLarge: oci.ErrLastInvalid,
	}[resp.StatusCode]
	if answer == nil && resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusRequestTimeout {
		answer = oci.ErrUnsupported // it understood the request, but does not list tags
	}
	if answer == nil {
		return nil
	}
	if answer == oci.ErrNameInvalid && req.Query != "" {
		answer = oci.ErrNumberInvalid // the name is valid, but the page is not
	}
	no := &refused{answer: answer}
	if resp.StatusCode == http.StatusTooManyRequests {
		no.after, _ = outbound.RetryAfter(resp.Header, time.Now())
	}
	return no
}
