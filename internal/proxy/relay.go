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

// relayTimeout is for one upstream.
const relayTimeout = 5 * time.Second

// refusal is an upstream's answer that is no fault of the upstream: clients get it as it is.
type refusal struct {
	answer *oci.Error
	after  time.Duration // Retry-After; 0: none
}

// Error implements error.
func (r *refusal) Error() string { return r.answer.Error() }

// relay fetches a tag list and passes it on under the name the client asked for: clients follow pagination
// links only on the host they asked. Canonical answers when the near upstream fails or refuses. A list whose link to the next
// page cannot be followed is passed on without the link when no better one is to be had.
func (s *Server) relay(ctx context.Context, w *world, a *answer) {
	share, full := s.relays.acquire(route.Network(a.client.Addr))
	if full != nil {
		a.refuse(full)
		return
	}
	a.done = share.release
	var odd *tagList // of the near upstream
	for i := a.decision.Candidate; ; {
		list, err := s.fetchTags(ctx, &w.snapshot.Candidates[i], a.req, share, odd.size())
		if err == nil && list.empty && i != w.snapshot.Canonical {
			// distribution answers so to a later page (last=…) of a repository that it lacks; the first page was canonical's.
			err = &refusal{answer: oci.ErrNameUnknown}
		}
		a.decision.Candidate = i
		if ctx.Err() != nil {
			a.refuse(oci.ErrUnavailable.With("the client went away")) // nobody's fault, and nobody reads it
			a.err, a.gone = nil, true
			return
		}
		s.metrics.Relays.WithLabelValues(w.snapshot.Candidates[i].Name, relayResult(&list, err)).Inc()
		no, refused := errors.AsType[*refusal](err)
		if err != nil && !refused && !errors.Is(err, errBusy) {
			w.health.Suspect(i)
		}
		last := i == w.snapshot.Canonical
		switch {
		case err == nil && list.odd != nil && !last:
			odd = &list
		case err == nil:
			a.list(&list, share)
			return
		case last && odd != nil:
			a.list(odd, share)
			return
		case errors.Is(err, errBusy):
			a.refuse(share.busy())
			return
		case last && refused:
			a.refuse(no.answer)
			a.after = no.after
			return
		case last:
			a.refuse(oci.ErrUnavailable.With("the tag list cannot be fetched now"))
			a.err = err
			return
		}
		i, a.decision.Reason = w.snapshot.Canonical, route.LastResort
		if !w.allow(i) {
			if odd != nil {
				a.list(odd, share)
				return
			}
			a.refuse(oci.ErrTooManyRequests)
			return
		}
	}
}

// list answers with a tag list, and gives back what its reading took beyond it.
func (a *answer) list(l *tagList, share *relayShare) {
	share.resize(l.size())
	a.status, a.body, a.json, a.link, a.err = http.StatusOK, l.body, true, l.link, l.odd
}

func relayResult(l *tagList, err error) string {
	no, refused := errors.AsType[*refusal](err)
	switch {
	case err == nil && l.odd != nil:
		return "odd-link"
	case err == nil:
		return "ok"
	case errors.Is(err, errBusy):
		return "busy"
	case refused && no.answer.Status == http.StatusNotFound:
		return "not-found"
	case refused:
		return "refused"
	default:
		return "failed"
	}
}

// fetchTags asks one upstream. Of the share, kept bytes are in use already.
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
	if err := refused(resp, &req); err != nil {
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

// refused is the refusal that an answer is, with the code of the specification; nil when it is none. What the upstream
// writes in its body, and whom it wants its client to authenticate to, is not passed on.
func refused(resp *http.Response, req *oci.Request) error {
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
		answer = oci.ErrUnsupported // it understood, and does not list tags
	}
	if answer == nil {
		return nil
	}
	if answer == oci.ErrNameInvalid && req.Query != "" {
		answer = oci.ErrNumberInvalid // the name is good: it is the page that is not
	}
	no := &refusal{answer: answer}
	if resp.StatusCode == http.StatusTooManyRequests {
		no.after, _ = outbound.RetryAfter(resp.Header, time.Now())
	}
	return no
}
