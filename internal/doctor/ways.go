package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/outbound"
)

const (
	maxAddresses = 2        // of a family that are connected to
	maxLook      = 32 << 10 // bytes of an answer that are read to see who answers
)

// look tries all ways to a host at once.
func (d *doctor) look(run context.Context, h *Host) {
	ctx, cancel := context.WithTimeout(run, d.opt.Timeout)
	defer cancel()
	proxy, err := d.proxyFor(h)
	var all sync.WaitGroup
	switch {
	case err != nil:
		h.Via = &Try{Host: h.Address, What: "proxy", Result: judge.Failed, Fault: badSetting, Detail: err.Error()}
	case proxy != nil:
		all.Go(func() { h.Via = d.proxied(ctx, h, proxy) })
	}
	all.Go(func() { h.Servers = d.ask(ctx, h.Name) })
	v4, v6 := &Try{}, &Try{}
	all.Go(func() { v4 = d.direct(ctx, h, judge.IPv4) })
	all.Go(func() { v6 = d.direct(ctx, h, judge.IPv6) })
	all.Wait()
	if (v4.Fault == noResolver || v6.Fault == noResolver) && d.skip(h.Servers) {
		again, cancel := context.WithTimeout(run, d.opt.Timeout)
		defer cancel()
		all.Go(func() { v4 = d.direct(again, h, judge.IPv4) })
		all.Go(func() { v6 = d.direct(again, h, judge.IPv6) })
		all.Wait()
	}
	h.V4, h.V6 = v4, v6
	if fault, _ := h.fault(); fault == notTLS && h.Kind == "registry" && d.plain(ctx, h) {
		for _, t := range h.ways() {
			if t.Fault == notTLS {
				t.Fault, t.Detail = plainHTTP, "it speaks plain HTTP"
			}
		}
	}
	if h.Via != nil || !h.Later.IsZero() { // clients do not go this way, or not yet
		v4.excuse(v4.Fault)
		v6.excuse(v6.Fault)
	}
	if run.Err() != nil { // the time of the whole run is over, and what was in progress failed for that
		for _, t := range []*Try{h.Via, h.V4, h.V6} {
			t.excuse(late)
		}
	}
}

// plain reports whether a server without TLS is a registry, or another server that is there on purpose: a portal has a
// page of its own for every request.
func (d *doctor) plain(ctx context.Context, h *Host) bool {
	ans := d.asker.Ask(ctx, judge.Query{Method: http.MethodGet, URL: "http://" + net.JoinHostPort(h.Name, h.Port) + h.path(), Max: maxLook})
	return ans.Err == nil && ans.Location == nil && !isPage(ans)
}

// excuse makes a failure information.
func (t *Try) excuse(f Fault) {
	if t != nil && !t.works() {
		t.Result, t.Fault = judge.Info, f
	}
}

// proxyFor returns the proxy of the environment for a host, or nil.
func (d *doctor) proxyFor(h *Host) (*url.URL, error) {
	req, err := http.NewRequest(http.MethodGet, h.url("/"), http.NoBody) //nolint:noctx // it is not sent
	if err != nil {
		return nil, err
	}
	return d.proxy(req)
}

func (h *Host) url(path string) string {
	scheme := "https://"
	if h.Plain {
		scheme = "http://"
	}
	return scheme + net.JoinHostPort(h.Name, h.Port) + path
}

// path is what a host is asked for to see who answers.
func (h *Host) path() string {
	if h.Kind == "registry" || h.Kind == "upstream" {
		return "/v2/"
	}
	return "/" + judge.MadeUp()
}

// direct goes to a host by one family, step by step.
func (d *doctor) direct(ctx context.Context, h *Host, f judge.Family) *Try {
	found, fault, err := addresses(ctx, d.lookup(), f, h.Name)
	if fault != noFault {
		t := &Try{Host: h.Address, What: f.String(), Result: judge.Failed, Fault: fault, Detail: reason(err)}
		if fault == noRecord {
			t.Result = judge.Info
		}
		return t
	}
	return d.connect(ctx, h, f, found)
}

func (d *doctor) connect(ctx context.Context, h *Host, f judge.Family, found []netip.Addr) *Try {
	t := &Try{Host: h.Address, What: f.String(), Result: judge.Failed, Addresses: found}
	start := time.Now()
	var conn net.Conn
	var err error
	dialer := &net.Dialer{Timeout: d.opt.Timeout * 4 / 5} // time is left for a second address to be refused
	for _, a := range first(found, maxAddresses) {
		if conn, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), h.Port)); err == nil {
			break
		}
	}
	if err != nil {
		t.Fault, t.why = connecting(err), reason(err)
		t.Detail = join(first(found, maxAddresses)) + ": " + t.why
		if t.Fault == noRoute {
			t.Result, t.Detail = judge.Info, "this machine has no "+strings.Replace(f.String(), "ip", "IP", 1)
		}
		return t
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	t.Took = time.Since(start)
	d.talk(ctx, h, d.counted(conn), t)
	if t.Fault == noFault {
		t.Result = judge.OK
		t.Detail = fmt.Sprintf("%s in %s%s", join(first(found, maxAddresses)), t.Took.Round(time.Millisecond), t.certificate())
	}
	return t
}

// talk makes the TLS handshake and one request.
func (d *doctor) talk(ctx context.Context, h *Host, conn net.Conn, t *Try) {
	var state *tls.ConnectionState
	if !h.Plain {
		secure := tls.Client(conn, d.inspecting(h.Name))
		if err := secure.HandshakeContext(ctx); err != nil {
			t.Fault, t.Detail = talking(err), "TLS: "+reason(err)
			return
		}
		s := secure.ConnectionState()
		conn, state = secure, &s
	}
	answer, err := d.exchange(ctx, conn, h)
	t.dated(answer.Header)
	if state != nil && !d.judge(t, state, h.Name) {
		return
	}
	if err != nil {
		t.Fault, t.Detail = talking(err), reason(err)
		return
	}
	t.Status = answer.Status
	if isPage(answer) {
		t.Fault, t.Detail = webPage, fmt.Sprintf("%d with a web page", answer.Status)
	}
}

// isPage reports whether a portal or a web filter answers. No registry and no store has such an answer to what is asked.
func isPage(answer judge.Answer) bool {
	return answer.Status/100 == 2 && answer.IsHTML() || answer.Status == http.StatusNetworkAuthenticationRequired
}

// exchange makes one request over a connection.
func (d *doctor) exchange(ctx context.Context, conn net.Conn, h *Host) (judge.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url(h.path()), http.NoBody)
	if err != nil {
		return judge.Answer{}, err
	}
	req.Header.Set("User-Agent", d.opt.UserAgent)
	req.Close = true
	if err := req.Write(conn); err != nil {
		return judge.Answer{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxLook)), req)
	if err != nil {
		return judge.Answer{}, err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the beginning is enough
	return judge.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// dated notes how far a host's clock is ahead.
func (t *Try) dated(h http.Header) {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		t.Skew, t.Dated = time.Until(at), true
	}
}

// connecting is the fault of a failed connection.
func connecting(err error) Fault {
	var timeout net.Error
	switch {
	case judge.NoRoute(err):
		return noRoute
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL):
		return rejected // EINVAL: a blackhole route
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return silent
	}
	return unknown
}

// talking is the fault of a connection that was made.
func talking(err error) Fault {
	var (
		record  tls.RecordHeaderError
		timeout net.Error
	)
	switch {
	case errors.As(err, &record):
		return notTLS
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return stalled
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return cutOff
	}
	return unknown
}

// reason is an error without the addresses that the table has already.
func reason(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsTimeout {
			return "the resolver does not answer"
		}
		return "resolver: " + dns.Err
	}
	if sys, ok := errors.AsType[syscall.Errno](err); ok {
		return sys.Error()
	}
	if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "no answer"
	}
	return outbound.Redact(err.Error())
}

func join(list []netip.Addr) string {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
