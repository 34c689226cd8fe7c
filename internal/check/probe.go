package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

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
	families   []family // the families that the config lists for the target
	findings   []Finding
	asker      *asker
	// lenient turns errors of the read checks into warnings, because the store is being filled.
	lenient    bool
	askedMulti bool
}

func (p *probe) say(check string, v verdict) {
	p.findings = append(p.findings, Finding{
		Target: p.name, Kind: p.kind, Check: check, Result: v.result, Detail: v.detail, Hint: v.hint,
	})
}

// get and head each make one request with the target's asker.
func (p *probe) get(ctx context.Context, url string, limit int64, redirects int, header map[string]string) answer {
	return p.asker.ask(ctx, query{http.MethodGet, url, header, limit, redirects})
}

func (p *probe) head(ctx context.Context, url string, redirects int, header map[string]string) answer {
	return p.asker.ask(ctx, query{http.MethodHead, url, header, 0, redirects})
}

// connect asks rawURL over each family separately, and prepares the asker with a family that works. It returns false
// when none works and nothing else can be asked.
func (p *probe) connect(ctx context.Context, rawURL string) bool {
	host := hostOf(rawURL)
	var works []family
	var expires time.Time
	for _, f := range []family{ipv4, ipv6} {
		if !slices.Contains(p.families, f) {
			p.say(f.String(), verdict{Info, "not in families: clients of that family are sent elsewhere", ""})
			continue
		}
		tr := transport(p.opts.Lookup, p.opts.TLS, p.opts.Timeout, f)
		ans := p.newAsker(tr).ask(ctx, query{method: http.MethodHead, url: rawURL})
		tr.CloseIdleConnections()
		p.say(f.String(), reached(ans, f, host))
		_, p.findings[len(p.findings)-1].noAddress = errors.AsType[*noAddress](ans.err)
		if ans.err == nil {
			works = append(works, f)
			expires = ans.expires
		}
	}
	if len(works) == 0 {
		p.say("connect", verdict{Failed, "no connection to " + host + ": nothing else was asked", hintNetwork})
		return false
	}
	if !expires.IsZero() && time.Until(expires) < expiresSoon {
		p.say("certificate", verdict{Warning, "the certificate ends on " + expires.UTC().Format(time.DateOnly), "renew the certificate"})
	}
	p.asker = p.newAsker(transport(p.opts.Lookup, p.opts.TLS, p.opts.Timeout, works[0], works[0].other()))
	return true
}

func (p *probe) newAsker(tr *http.Transport) *asker {
	return &asker{
		client:  &http.Client{Transport: tr, CheckRedirect: outbound.NoRedirect},
		timeout: p.opts.Timeout, userAgent: p.opts.UserAgent,
	}
}

func (p *probe) close() {
	if p.asker != nil {
		p.asker.client.CloseIdleConnections()
	}
}

// reached judges a connection over one family. Any HTTP answer is good enough.
func reached(ans answer, f family, host string) verdict {
	var none *noAddress
	switch {
	case ans.err == nil:
		return ok("answered in %s", ans.took.Round(time.Millisecond))
	case errors.As(ans.err, &none):
		return verdict{Warning, none.Error(), familyHint(f, host)}
	case noRoute(ans.err):
		return verdict{Info, fmt.Sprintf("not tested: this machine has no %s network", f), ""}
	}
	v, _ := trouble(ans)
	return v
}

// familyHint says how to serve a family for which a host has no address.
func familyHint(f family, host string) string {
	other := f.other()
	if _, err := netip.ParseAddr(host); err == nil {
		return fmt.Sprintf("say families: [%s], so that other clients are sent elsewhere", other)
	}
	fallBack := fmt.Sprintf("or say families: [%s], so that other clients are sent elsewhere", other)
	if f == ipv6 && strings.HasSuffix(host, ".amazonaws.com") && !strings.Contains(host, ".dualstack.") {
		return "use the dualstack name, BUCKET.s3.dualstack.REGION.amazonaws.com, " + fallBack
	}
	if f == ipv6 {
		return "add an AAAA record (S3 has dualstack names for it), " + fallBack
	}
	return "add an A record, " + fallBack
}

// ranges makes the range checks on a blob that exists.
func (p *probe) ranges(ctx context.Context, url string, b blob, content []byte, redirects int) {
	ask := func(header string) answer {
		return p.get(ctx, url, tailSize, redirects, map[string]string{"Range": header})
	}
	if b.size < 2 {
		return
	}
	closed := span{b.size / 3, min(b.size/3+1023, b.size-1)}
	p.read("range", ranged(ask(closed.header(false)), b, closed, content))
	tail := span{max(b.size-tailSize, 1), b.size - 1}
	p.read("range.open", ranged(ask(tail.header(true)), b, tail, content))
	p.read("range.past-end", pastEnd(ask(fmt.Sprintf("bytes=%d-", b.size)), b))
	if !p.askedMulti { // one blob is enough
		p.askedMulti = true
		p.read("range.multi", multi(ask("bytes=0-0,-1"), b))
	}
}

// read reports the verdict of a read check.
func (p *probe) read(check string, v verdict) {
	excused := p.lenient && v.result == Failed
	if excused {
		v.result = Warning
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
