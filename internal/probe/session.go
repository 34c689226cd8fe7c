package probe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
)

// Class is a kind of client, as which the probe asks.
type Class struct {
	Name string     // for people and labels: "aws/us-east-1 ipv4"
	Addr netip.Addr // that the probe claims to have; invalid: its own, as the server sees it
}

// Self is the machine of the probe.
var Self = Class{Name: "self"}

// maxHops is how many redirects of a blob's host the probe follows. Runtimes follow about ten; more than one from a
// registry to its storage is a fault anyway.
const maxHops = 5

// prober is what all sessions of a run share.
type prober struct {
	opt   *Options
	base  *url.URL // scheme and host of the name
	meter *meter
	via   http.RoundTripper // counts in meter
	tally *tally

	mu      sync.Mutex
	hosts   map[string]*host      // blob hosts seen, by host
	digests map[string]oci.Digest // of the tags, as the first class saw them
}

// host is what a run has seen of a host.
type host struct {
	kind      string
	url       string // some URL there that answers
	proto     int
	until     time.Time
	waits     []time.Duration // until the header of an answer
	size      int64           // of the biggest blob that came whole
	perSecond float64
	checked   bool
}

// session asks as one class. One goroutine may use it.
type session struct {
	*prober
	as     Class
	client *http.Client
	askers map[string]*judge.Asker // by host, because each gives up a dead host
	// signed sends the probe identity to the registry's name. The server then learns nothing from the repeats that a
	// probe makes.
	signed bool
}

func (p *prober) session(as Class) *session {
	return &session{
		prober: p, as: as, signed: p.opt.Sign != nil && as.Addr.IsValid(), askers: map[string]*judge.Asker{},
		client: &http.Client{Transport: p.via, CheckRedirect: outbound.NoRedirect},
	}
}

// asker returns the asker for the host of u.
func (s *session) asker(u *url.URL) *judge.Asker {
	a := s.askers[u.Host]
	if a == nil {
		a = &judge.Asker{Client: s.client, Timeout: s.opt.Timeout, UserAgent: s.opt.UserAgent}
		s.askers[u.Host] = a
	}
	return a
}

// registry sends one request to the registry's name, and follows no redirect. pathAndQuery begins with /. Servers accept
// so many probes a second, of all probers together: then it waits and asks again.
func (s *session) registry(ctx context.Context, method, pathAndQuery string, limit int64, header map[string]string) judge.Answer {
	for tries := 1; ; tries++ {
		ans := s.once(ctx, method, pathAndQuery, limit, header)
		if !s.signed || ans.Err != nil || ans.Status != http.StatusTooManyRequests || tries == 3 {
			return ans
		}
		if wait.For(ctx, time.Second) != nil {
			return ans
		}
	}
}

func (s *session) once(ctx context.Context, method, pathAndQuery string, limit int64, header map[string]string) judge.Answer {
	s.meter.hold(ctx, s.meter.pace.Burst())
	all := map[string]string{}
	maps.Copy(all, header)
	if s.signed {
		k, v := s.opt.Sign(method, s.base.Host, pathAndQuery, s.as.Addr)
		all[k] = v
	}
	ans := s.asker(s.base).Ask(ctx, judge.Query{Method: method, URL: s.base.Scheme + "://" + s.base.Host + pathAndQuery, Header: all, Max: limit})
	s.note(s.base, "registry", &ans)
	return ans
}

// blob sends one request to where a redirect of the registry led, without the probe identity. It follows redirects of
// that host.
func (s *session) blob(ctx context.Context, method string, at *url.URL, limit int64, header map[string]string) judge.Answer {
	s.meter.hold(ctx, s.meter.pace.Burst())
	hops := maxHops
	if at.Scheme != "https" { // with plain HTTP anyone on the way could send the probe anywhere
		hops = 0
	}
	ans := s.asker(at).Ask(ctx, judge.Query{Method: method, URL: at.String(), Header: header, Max: limit, Redirects: hops})
	s.note(at, "blob", &ans)
	for _, hop := range ans.Hops {
		s.note(hop.To, "blob", nil)
	}
	return ans
}

// note remembers a host that a pull touches.
func (p *prober) note(at *url.URL, kind string, ans *judge.Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[at.Host]
	if h == nil {
		h = &host{kind: kind, url: at.String()}
		p.hosts[at.Host] = h
	}
	if ans == nil || ans.Err != nil {
		return
	}
	h.proto, h.until = ans.Proto, ans.Expires
	if len(ans.Hops) == 0 && len(h.waits) < 1000 {
		h.waits = append(h.waits, ans.Took)
	}
}

// say records the result of a check.
func (s *session) say(id, image string, at *url.URL, began time.Time, v judge.Verdict) {
	s.record(id, image, at, began, 0, v)
}

func (s *session) record(id, image string, at *url.URL, began time.Time, bytes int64, v judge.Verdict) {
	c := checkOf(id)
	f := Finding{
		Check: id, As: s.as.Name, Image: image, Result: v.Result, Detail: v.Detail, Hint: v.Hint, Doc: c.Doc(),
		Seconds: time.Since(began).Seconds(), Bytes: bytes,
	}
	if at != nil {
		f.Host = at.Host
	}
	switch {
	case image == "" && id != idPing && id != idIdentity:
	case c.Paths && s.as == Self:
		f.Proof = Path
	default: // of a class that cannot be asked, this is the only one: it must count
		f.Proof = Decision
	}
	if v.Result == judge.Failed && c.Severity == judge.Warning {
		f.Result = judge.Warning
	}
	s.tally.add(f)
}

// over reports whether the run's bounds are reached, so that a loop must end.
func (p *prober) over(ctx context.Context) bool { return ctx.Err() != nil || p.meter.spent.Load() }

// spent records that a check was not made because the run's bounds are reached, and reports whether that is so.
func (s *session) spent(ctx context.Context, id, image string, at *url.URL, err error) bool {
	if err == nil || !ended(ctx, err) {
		return false
	}
	s.say(id, image, at, time.Now(), judge.Verdict{Result: Skipped, Detail: "not asked: " + errSpent.Error()})
	return true
}

// hostText is a host and port as they can be printed. A server may send anything.
var hostText = regexp.MustCompile(`^[A-Za-z0-9._:\[\]-]{1,255}$`)

var errPlain = errors.New("plain HTTP")

// target judges a redirect of the registry for a blob, and returns where it leads.
func (s *session) target(ans judge.Answer, path string) (*url.URL, judge.Verdict) {
	switch {
	case ans.Err == nil && ans.Location != nil && ans.Status/100 == 3:
	case ans.Err == nil && ans.Status == http.StatusOK:
		return s.base.JoinPath(path), judge.Warn("check that the layer's bytes may pass through the registry's name: oci-proxy itself always redirects",
			"the registry answers for the blob itself, without a redirect")
	default:
		v, bad := judge.Trouble(ans)
		if !bad {
			v = judge.Fail(hintRegistry, "%d for a blob, want a redirect", ans.Status)
		}
		return nil, v
	}
	to := ans.Location
	switch {
	case !hostText.MatchString(to.Host):
		return nil, judge.Fail(hintRedirect, "the redirect's host is no name or address")
	case to.User != nil:
		return nil, judge.Fail(hintRedirect, "the redirect has a user name in it")
	case to.Scheme != "https" && !s.plain(to.Host):
		return nil, judge.Fail(hintRedirect, "the redirect leads to %s://%s, not to HTTPS", to.Scheme, to.Host)
	case s.base.Scheme == "https" && to.Scheme != "https":
		return nil, judge.Fail(hintRedirect, "the redirect leads from HTTPS to plain HTTP: runtimes refuse it")
	}
	return to, judge.Good("%d to %s", ans.Status, to.Host)
}

// plain reports whether a host may speak plain HTTP.
func (p *prober) plain(hostport string) bool {
	return outbound.Loopback(hostport) || slices.Contains(p.opt.PlainHTTP, hostport) ||
		slices.Contains(p.opt.PlainHTTP, strings.Split(hostport, ":")[0])
}

const (
	hintRegistry = "look at the proxy's explain for this path, and at the registry behind it"
	hintRedirect = "correct the url of the store or upstream in the config of the proxy"
)

// open sends a GET and returns its body unread, after the redirects of that host. The caller closes the body and calls
// the function.
func (s *session) open(ctx context.Context, at *url.URL, header map[string]string, size int64) (*http.Response, context.CancelFunc, error) {
	// Slower than 64 KiB/s is a fault of its own.
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout+time.Duration(size/(64<<10))*time.Second)
	target := at
	for range maxHops + 1 {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
		if err != nil {
			cancel()
			return nil, nil, errors.New("bad URL")
		}
		r.Header.Set("User-Agent", s.opt.UserAgent)
		for k, v := range header {
			r.Header.Set(k, v)
		}
		resp, err := s.client.Do(r)
		if err != nil {
			cancel()
			return nil, nil, judge.Bare(err)
		}
		to, err := resp.Location()
		if resp.StatusCode/100 != 3 || err != nil {
			return resp, cancel, nil
		}
		_ = resp.Body.Close()
		if to.Scheme != "https" {
			cancel()
			return nil, nil, fmt.Errorf("redirected to %s: %w", to.Scheme, errPlain)
		}
		target = to
	}
	cancel()
	return nil, nil, fmt.Errorf("more than %d redirects", maxHops)
}
