package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/route"
)

const (
	relayTimeout  = 5 * time.Second // of one upstream
	maxRelayBytes = 8 << 20
)

// errNotFound is an upstream's 404.
var errNotFound = errors.New("repository not found")

// relay fetches a tag list and passes it on under the name the client asked for: clients follow pagination
// links only on the host they asked. When the near upstream fails, canonical answers.
func (s *Server) relay(ctx context.Context, w *world, a *answer) {
	select {
	case s.relays <- struct{}{}:
		defer func() { <-s.relays }()
	default:
		a.refuse(oci.ErrUnavailable.With("too many tag lists under way"))
		return
	}
	for i := a.decision.Candidate; ; {
		list, err := s.fetchTags(ctx, &w.snapshot.Candidates[i], a.req)
		s.metrics.Relays.WithLabelValues(w.snapshot.Candidates[i].Name, relayResult(err)).Inc()
		a.decision.Candidate = i
		switch {
		case err == nil:
			a.status, a.body, a.json, a.link = http.StatusOK, list.body, true, list.link
			return
		case i == w.snapshot.Canonical && errors.Is(err, errNotFound):
			a.refuse(oci.ErrNameUnknown)
			return
		case i == w.snapshot.Canonical:
			a.refuse(oci.ErrUnavailable.With("the tag list cannot be fetched now"))
			a.err = err
			return
		}
		i, a.decision.Reason = w.snapshot.Canonical, route.LastResort
		if !w.allow(i) {
			a.refuse(oci.ErrTooManyRequests)
			return
		}
	}
}

func relayResult(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, errNotFound):
		return "not-found"
	default:
		return "failed"
	}
}

type tagList struct {
	body []byte
	link string
}

func (s *Server) fetchTags(ctx context.Context, c *route.Candidate, req oci.Request) (tagList, error) {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Location(req), nil)
	if err != nil {
		return tagList{}, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "oci-proxy")
	// A redirect could lead anywhere; a registry answers this itself.
	client := *s.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(r)
	if err != nil {
		return tagList{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return tagList{}, fmt.Errorf("%s: %w", c.Name, errNotFound)
	}
	if resp.StatusCode != http.StatusOK {
		return tagList{}, fmt.Errorf("%s: status %d", c.Name, resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxRelayBytes+1))
	if err != nil {
		return tagList{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	if len(data) > maxRelayBytes {
		return tagList{}, fmt.Errorf("%s: tag list of more than %d bytes", c.Name, maxRelayBytes)
	}
	return rewriteTags(data, resp.Header.Get("Link"), req)
}

// rewriteTags puts the requested name into a tag list and its pagination link. Only tags that are tags are
// passed on.
func rewriteTags(data []byte, link string, req oci.Request) (tagList, error) {
	var in struct {
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return tagList{}, fmt.Errorf("tag list: %w", err)
	}
	tags := make([]string, 0, len(in.Tags))
	for _, t := range in.Tags {
		if oci.ValidTag(t) {
			tags = append(tags, t)
		}
	}
	body, err := json.Marshal(struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{req.Name, tags})
	if err != nil {
		return tagList{}, err
	}
	next, err := rewriteLink(link, req.Name)
	if err != nil {
		return tagList{}, err
	}
	return tagList{body: append(body, '\n'), link: next}, nil
}

// rewriteLink keeps nothing of an upstream's next link but its validated n and last. A link that works in
// another way is an error: without it, a client would take the first page for the whole list.
func rewriteLink(link, name string) (string, error) {
	if link == "" {
		return "", nil
	}
	target, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
	if !ok || !strings.Contains(rest, `rel="next"`) {
		return "", fmt.Errorf("tag list: cannot read the link %.200q", link)
	}
	u, err := url.Parse(target)
	if err != nil {
		return "", fmt.Errorf("tag list: link: %w", err)
	}
	next, err := oci.Parse("/v2/"+name+"/tags/list", u.RawQuery)
	if err != nil || next.Last == "" {
		return "", fmt.Errorf("tag list: the link %.200q does not page by n and last", link)
	}
	return "</v2/" + name + "/tags/list?" + next.Query + `>; rel="next"`, nil
}
