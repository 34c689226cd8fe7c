package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/outbound"
)

// tailSize is how much of the end of a big blob is requested with an open-ended range.
const tailSize = 64 << 10

// expiresSoon is how long before the end of a certificate the report warns the operator.
const expiresSoon = 14 * 24 * time.Hour

// probe collects the findings about one target.
type probe struct {
	kind, name string
	opts       *Options
	families   []judge.Family // the families that the config lists for the target
	findings   []Finding
	asker      *judge.Asker
	// lenient turns errors of the read checks into warnings, because the store is being filled.
	lenient    bool
	askedMulti bool
}

func (p *probe) say(check string, v judge.Verdict) {
	p.findings = append(p.findings, Finding{
		Target: p.name, Kind: p.kind, Check: check, Result: v.Result, Detail: v.Detail, Hint: v.Hint,
	})
}

// get and head each make one request with the target's asker.
func (p *probe) get(ctx context.Context, url string, limit int64, redirects int, header map[string]string) judge.Answer {
	return p.asker.Ask(ctx, judge.Query{Method: http.MethodGet, URL: url, Header: header, Max: limit, Redirects: redirects})
}

func (p *probe) head(ctx context.Context, url string, redirects int, header map[string]string) judge.Answer {
	return p.asker.Ask(ctx, judge.Query{Method: http.MethodHead, URL: url, Header: header, Max: 0, Redirects: redirects})
}

// connect asks rawURL over each family separately, and prepares the asker with a family that works. It returns false
// when none works and nothing else can be asked.
func (p *probe) connect(ctx context.Context, rawURL string) bool {
	host := hostOf(rawURL)
	var works []judge.Family
	var expires time.Time
	for _, f := range []judge.Family{judge.IPv4, judge.IPv6} {
		if !slices.Contains(p.families, f) {
			p.say(f.String(), judge.Note("not in families: clients of that family are sent elsewhere"))
			continue
		}
		tr := judge.Transport(p.opts.Lookup, p.opts.TLS, p.opts.Timeout, f)
		ans := p.newAsker(tr).Ask(ctx, judge.Query{Method: http.MethodHead, URL: rawURL})
		tr.CloseIdleConnections()
		p.say(f.String(), judge.Reached(ans, f, host))
		_, p.findings[len(p.findings)-1].noAddress = errors.AsType[*judge.NoAddress](ans.Err)
		if ans.Err == nil {
			works = append(works, f)
			expires = ans.Expires
		}
	}
	if len(works) == 0 {
		p.say("connect", judge.Fail(judge.HintNetwork, "no connection to %s: nothing else was asked", host))
		return false
	}
	if !expires.IsZero() && time.Until(expires) < expiresSoon {
		p.say("certificate", judge.Verdict{Result: Warning, Detail: "the certificate ends on " + expires.UTC().Format(time.DateOnly), Hint: "renew the certificate"})
	}
	p.asker = p.newAsker(judge.Transport(p.opts.Lookup, p.opts.TLS, p.opts.Timeout, works[0], works[0].Other()))
	return true
}

func (p *probe) newAsker(tr http.RoundTripper) *judge.Asker {
	if p.opts.Wrap != nil {
		tr = p.opts.Wrap(tr)
	}
	return &judge.Asker{
		Client:  &http.Client{Transport: tr, CheckRedirect: outbound.NoRedirect},
		Timeout: p.opts.Timeout, UserAgent: p.opts.UserAgent,
	}
}

func (p *probe) close() {
	if p.asker != nil {
		p.asker.Client.CloseIdleConnections()
	}
}

// ranges makes the range checks on a blob that exists.
func (p *probe) ranges(ctx context.Context, url string, b judge.Blob, content []byte, redirects int) {
	ask := func(header string) judge.Answer {
		return p.get(ctx, url, tailSize, redirects, map[string]string{"Range": header})
	}
	if b.Size < 2 {
		return
	}
	closed := judge.Span{From: b.Size / 3, To: min(b.Size/3+1023, b.Size-1)}
	p.read("range", judge.Ranged(ask(closed.Header(false)), b, closed, content))
	tail := judge.Span{From: max(b.Size-tailSize, 1), To: b.Size - 1}
	p.read("range.open", judge.Ranged(ask(tail.Header(true)), b, tail, content))
	p.read("range.past-end", judge.PastEnd(ask(fmt.Sprintf("bytes=%d-", b.Size)), b))
	if !p.askedMulti { // one blob is enough
		p.askedMulti = true
		p.read("range.multi", judge.Multi(ask("bytes=0-0,-1"), b))
	}
}

// read reports the verdict of a read check.
func (p *probe) read(check string, v judge.Verdict) {
	excused := p.lenient && v.Result == Failed
	if excused {
		v.Result = Warning
	}
	p.say(check, v)
	p.findings[len(p.findings)-1].excused = excused
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return rawURL
	}
	return u.Hostname()
}
