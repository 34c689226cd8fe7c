package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// attack is what a number of connections do until their context ends.
type attack struct {
	name        string
	behind      string // client.behind
	connections int
	do          func(ctx context.Context, s *site, i int)
}

const (
	front  = "{header: X-Forwarded-For, entry: 1}" // the header names the client
	direct = "direct"                              // the connection's loopback address is the client
)

var attacks = []attack{
	{"nested_tag_lists", front, 45, func(ctx context.Context, s *site, i int) { s.lists(ctx, "nested", i, io.Discard) }},
	{"slow_tag_lists", front, 45, func(ctx context.Context, s *site, i int) { s.lists(ctx, "large", i, unread{ctx}) }},
	{"idle_connections", direct, 4000, func(ctx context.Context, s *site, _ int) {
		s.hold(ctx, s.listen, "GET /-/live HTTP/1.1\r\nHost: a\r\n\r\n")
	}},
	{"silent_connections", direct, 4000, func(ctx context.Context, s *site, _ int) { s.hold(ctx, s.listen, "") }},
	{"half_headers", direct, 4000, func(ctx context.Context, s *site, _ int) {
		s.hold(ctx, s.listen, "GET /-/live HTTP/1.1\r\nHost: a\r\nX: ")
	}},
	{"endless_bodies", front, 64, func(ctx context.Context, s *site, _ int) { s.post(ctx) }},
	{"slow_metrics_readers", direct, 200, func(ctx context.Context, s *site, _ int) {
		s.hold(ctx, s.admin, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}},
}

// unread is a client that stops reading after the first bytes.
type unread struct{ ctx context.Context }

func (u unread) Write([]byte) (int, error) {
	<-u.ctx.Done()
	return 0, u.ctx.Err()
}

// lists asks for one list of tags after the other, as a client of one of three networks.
func (s *site) lists(ctx context.Context, repository string, i int, into io.Writer) {
	client := &http.Client{Transport: &http.Transport{DialContext: from("127.0.0.2")}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listen+"/v2/"+repository+"/tags/list", nil)
		if err != nil {
			return
		}
		req.Header.Set("X-Forwarded-For", fmt.Sprintf("3.0.%d.%d", i%3, i))
		resp, err := client.Do(req)
		if err != nil {
			continue
		}
		_, _ = io.Copy(into, resp.Body)
		_ = resp.Body.Close()
	}
}

// hold opens a connection from one address, sends says and reads nothing. When the connection is closed, hold opens
// another.
func (s *site) hold(ctx context.Context, to, says string) {
	for ctx.Err() == nil {
		c, err := from("127.0.0.2")(ctx, "tcp", to)
		if err != nil {
			pause(ctx)
			continue
		}
		_, _ = io.WriteString(c, says)
		end := context.AfterFunc(ctx, func() { _ = c.Close() })
		closed(c)
		end()
		_ = c.Close()
		pause(ctx)
	}
}

// closed returns when the other side has closed c. It reads little of what the other side sends.
func closed(c net.Conn) {
	b := make([]byte, 1)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // a slow reader
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
}

// post sends endless bodies with a method that the server refuses.
func (s *site) post(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: from("127.0.0.2")}}
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.listen+"/v2/a/blobs/uploads/", zeros{})
		if err != nil {
			return
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}
}

// zeros is a reader that never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// metric returns the value of a metric without labels.
func (s *site) metric(name string) (float64, error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: from("127.0.9.9")}}
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "http://"+s.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^` + name + ` ([0-9.e+]+)$`).FindSubmatch(body)
	if m == nil {
		return 0, fmt.Errorf("no %s: %s", name, resp.Status)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
