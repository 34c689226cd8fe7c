package count

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ociproxy/internal/accesslog/accesslogtest"
	"ociproxy/test/parts"
)

// Options describe a store.
type Options struct {
	// Name is the store's name in the proxy's config. Bucket, Host and Region are what its log says of it.
	Name, Bucket, Host, Region string
	// Shape is the layout of its log, by its name in accesslogtest.
	Shape string
	// Backend is the URL below which a real server has the objects. Each object is read there once, and then served from
	// memory.
	Backend string
	// Forgets is after how many requests it asks the backend again, as a CDN does that has forgotten an object; 0: never.
	Forgets int
	// Agent is the User-Agent with which it asks the backend; "" for the library's own.
	Agent string
	// Now is the clock of the log; nil: the real one.
	Now func() time.Time
	// Seen returns the address that the log shows of a client; invalid: none. nil: the client's own.
	Seen func(netip.Addr) netip.Addr
}

// Store is a running counting proxy.
type Store struct {
	Options
	URL string // of a blob, with {digest}, for the proxy's config

	client  *http.Client
	mu      sync.Mutex
	objects map[string]*object
	begun   int
	done    []accesslogtest.Request
}

// object is what the backend has under a key.
type object struct {
	once sync.Once
	data []byte
	err  error
}

// Start starts a counting proxy, whose blobs are below path, such as "containers/images/".
func Start(t testing.TB, path string, opt Options) *Store {
	t.Helper()
	l, err := listen(net.JoinHostPort(parts.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{Options: opt, URL: "http://" + l.Addr().String() + "/" + path + "{digest}", objects: map[string]*object{},
		client: &http.Client{Transport: &http.Transport{}}}
	if s.Now == nil {
		s.Now = time.Now
	}
	server := &http.Server{
		Handler:     s,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateIdle || state == http.StateClosed {
				c.(*conn).end()
			}
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	go server.Serve(listener{l, s})
	t.Cleanup(func() {
		_ = server.Close()
		s.client.CloseIdleConnections()
	})
	return s
}

// ServeHTTP answers GET and HEAD of an object, with ranges.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*conn)
	req := &accesslogtest.Request{
		Time: s.Now(), Client: s.clientOf(r), Method: r.Method, Host: s.Host, Bucket: s.Bucket, Key: strings.TrimPrefix(r.URL.Path, "/"),
		Query: r.URL.RawQuery, Range: r.Header.Get("Range"), Agent: r.UserAgent(), Region: s.Region, Size: -1, Took: time.Millisecond,
	}
	s.mu.Lock()
	s.begun++
	req.ID = s.Name + "-" + strconv.Itoa(s.begun)
	o := s.objects[req.Key]
	if req.Hit = o != nil && (s.Forgets == 0 || s.begun%s.Forgets > 0); !req.Hit {
		o = &object{}
		s.objects[req.Key] = o
	}
	s.mu.Unlock()
	c.begin(req)
	o.once.Do(func() { o.data, o.err = s.fetch(r.Context(), req.Key) })
	answer := &watched{ResponseWriter: w, conn: c, req: req}
	if o.err != nil {
		http.Error(answer, o.err.Error(), http.StatusNotFound)
		return
	}
	req.Size = int64(len(o.data))
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(answer, r, "", time.Time{}, bytes.NewReader(o.data))
}

// fetch reads an object at the backend.
func (s *Store) fetch(ctx context.Context, key string) ([]byte, error) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, s.Backend+key[strings.LastIndexByte(key, '/')+1:], nil)
	if err != nil {
		return nil, err
	}
	if s.Agent != "" {
		req.Header.Set("User-Agent", s.Agent)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the backend says %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// clientOf returns the client: the test's clients say who they are, because all come from one machine.
func (s *Store) clientOf(r *http.Request) netip.AddrPort {
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	addr := at.Addr()
	if said, err := netip.ParseAddr(r.Header.Get("X-Forwarded-For")); err == nil {
		addr = said
	}
	if s.Seen != nil {
		addr = s.Seen(addr)
	}
	if !addr.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, at.Port())
}

func (s *Store) add(r *accesslogtest.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, *r)
}

// Requests returns the requests since the first, in the order in which their answers ended. It waits for those under way.
func (s *Store) Requests(t testing.TB) []accesslogtest.Request {
	t.Helper()
	var out []accesslogtest.Request
	parts.Poll(t, time.Minute, s.Name+": all answers have ended", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.done) < s.begun {
			return fmt.Errorf("%d of %d", len(s.done), s.begun)
		}
		out = slices.Clone(s.done)
		return nil
	})
	return out
}

// watched notes the status and the length of an answer.
type watched struct {
	http.ResponseWriter
	conn *conn
	req  *accesslogtest.Request
}

// WriteHeader notes the status, and the length that the body will have.
func (w *watched) WriteHeader(status int) {
	w.req.Status = status
	if n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil && w.req.Method != http.MethodHead {
		w.conn.expect(n)
	}
	w.ResponseWriter.WriteHeader(status)
}
