package probe

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/outbound"
)

// expiresSoon is how long before the end of a certificate the probe warns.
const expiresSoon = 14 * 24 * time.Hour

// maxSkew is how far a clock may differ: the life of a probe identity. Certificates and signatures of cloud storage
// allow a few minutes.
const maxSkew = time.Minute

// host checks names, certificates and protocols of a host that a pull touches. at is a URL there that answers.
func (s *session) host(ctx context.Context, at *url.URL) {
	var good judge.Answer
	var certificate error
	for _, f := range []judge.Family{judge.IPv4, judge.IPv6} {
		began := s.meter.begin(ctx)
		if a, err := netip.ParseAddr(at.Hostname()); err == nil && a.Unmap().Is4() != (f == judge.IPv4) {
			s.say(f.String(), "", at, began, judge.Note("the host is an address of the other family"))
			continue
		}
		ans := s.headOver(ctx, at, false, f)
		id := f.String()
		if s.spent(ctx, id, "", at, ans.Err) {
			continue
		}
		switch {
		case ans.Err == nil:
			good = ans
			s.say(id, "", at, began, judge.Reached(ans, f, at.Hostname()))
		case judge.TLSHint(ans.Err) != "":
			certificate = ans.Err
			s.say(id, "", at, began, judge.Good("connected; see the check tls"))
		default:
			s.say(id, "", at, began, judge.Reached(ans, f, at.Hostname()))
		}
	}
	s.secure(at, good, certificate)
	if good.Status == 0 {
		return
	}
	s.protocols(ctx, at)
	s.clock(at, good)
}

// headOver sends a HEAD over IP families, on a connection of its own.
func (s *session) headOver(ctx context.Context, at *url.URL, only1 bool, families ...judge.Family) judge.Answer {
	tr := judge.Transport(s.opt.Lookup, s.opt.TLS, s.opt.Timeout, families...)
	defer tr.CloseIdleConnections()
	if only1 {
		tr.ForceAttemptHTTP2 = false
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetHTTP1(true)
	}
	a := judge.Asker{
		Client:  &http.Client{Transport: s.meter.over(tr), CheckRedirect: outbound.NoRedirect},
		Timeout: s.opt.Timeout, UserAgent: s.opt.UserAgent,
	}
	return a.Ask(ctx, judge.Query{Method: http.MethodHead, URL: at.String()})
}

// secure judges the certificate.
func (s *session) secure(at *url.URL, good judge.Answer, fault error) {
	now := time.Now()
	switch {
	case at.Scheme != "https": // other hosts than those that the command permits were refused before
		s.say("tls", "", at, now, judge.Note("plain HTTP, as the command permits"))
	case fault != nil:
		s.say("tls", "", at, now, judge.Fail(judge.TLSHint(fault), "%v", fault))
	case good.Status != 0:
		s.say("tls", "", at, now, judge.Good("the certificate fits"))
		v := judge.Good("until %s", good.Expires.UTC().Format(time.DateOnly))
		if left := time.Until(good.Expires); left < expiresSoon {
			v = judge.Warn("renew the certificate", "the certificate ends on %s, in %.1f days",
				good.Expires.UTC().Format(time.DateTime), left.Hours()/24)
		}
		s.say("tls.expiry", "", at, now, v)
	}
}

func (s *session) protocols(ctx context.Context, at *url.URL) {
	began := s.meter.begin(ctx)
	ans := s.headOver(ctx, at, true, judge.IPv4, judge.IPv6)
	if !s.spent(ctx, "http1", "", at, ans.Err) {
		v := judge.Good("HTTP/1.1")
		if ans.Err != nil {
			v = judge.Fail("many runtimes speak only HTTP/1.1: allow it", "%v", ans.Err)
		}
		s.say("http1", "", at, began, v)
	}
	if at.Scheme != "https" {
		return // runtimes use HTTP/2 over TLS only
	}
	began = s.meter.begin(ctx)
	ans = s.headOver(ctx, at, false, judge.IPv4, judge.IPv6)
	switch {
	case s.spent(ctx, "h2", "", at, ans.Err):
	case ans.Err != nil:
		s.say("h2", "", at, began, judge.Fail("look at the front's HTTP/2 settings", "%v", ans.Err))
	case ans.Proto == 2:
		s.say("h2", "", at, began, judge.Good("HTTP/2"))
	case at.Host == s.base.Host:
		s.say("h2", "", at, began, judge.Warn("switch HTTP/2 on at the front: a client needs one connection then", "no HTTP/2"))
	default:
		s.say("h2", "", at, began, judge.Note("no HTTP/2, as most object storage"))
	}
}

// clock compares the host's Date with the clock of this machine.
func (s *session) clock(at *url.URL, ans judge.Answer) {
	date, err := http.ParseTime(ans.Header.Get("Date"))
	if err != nil {
		return
	}
	// Date has whole seconds and was written somewhere within the request.
	v := judge.Good("within %s", maxSkew)
	if off := date.Sub(time.Now().Add(-ans.Took / 2)); off.Abs() > maxSkew+ans.Took/2 {
		v = judge.Warn("set the clock of this machine, or of the host, by NTP: certificates and signatures depend on it",
			"the clocks differ by %s", off.Round(time.Second))
	}
	s.say("clock", "", at, time.Now(), v)
}

// ping asks for the root of the API.
func (s *session) ping(ctx context.Context) bool {
	began := s.meter.begin(ctx)
	ans := s.registry(ctx, http.MethodGet, "/v2/", 4096, nil)
	if s.spent(ctx, idPing, "", s.base, ans.Err) {
		return false
	}
	v, bad := judge.Trouble(ans)
	var none *judge.NoAddress
	switch {
	case errors.As(ans.Err, &none):
		v = judge.Fail("check the spelling, and the records of the zone", "%s has no address: the name does not exist, or not for this machine's resolver", s.base.Hostname())
	case ans.Err == nil && ans.Status == http.StatusUnauthorized:
		v = judge.Fail("clients come without credentials: let anyone read", "401 for /v2/: the registry wants a login")
	case bad:
	case ans.Status != http.StatusOK:
		v = judge.Fail("check the name: is it the proxy's, and does the front pass /v2/ on?", "%d for /v2/, want 200", ans.Status)
	default:
		v = judge.Good("200 in %s", ans.Took.Round(time.Millisecond))
	}
	s.say(idPing, "", s.base, began, v)
	return !errors.Is(ans.Err, errSpent) && ans.Err == nil
}
