// Package gate is a reverse proxy between programs and servers. It counts what passes, and can spoil it.
//
// It knows HTTP. It must not know what the servers are.
package gate

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// Fault is what a gate does to one Exchange.
type Fault struct {
	Status    int    // replaces the server's answer; 0: the server's own
	Retry     string // Retry-After
	Persisted bool   // the complete request still reaches the server
	Cut       bool   // drop the connection instead of an answer
	After     int64  // cut the body after this many bytes; negative: do not
	Flip      bool   // change one byte of the body
	Pace      int64  // bytes of the body per second; 0: at once
	Shift     time.Duration
	Then      func() // called when the server has answered a persisted request; may be nil
}

// Pass is the Fault that changes nothing.
var Pass = Fault{After: -1}

// Gate stands in front of a server. It counts requests and bytes, and spoils the requests that its rule selects.
type Gate struct {
	Addr string // host:port
	URL  string

	mu       sync.Mutex
	rule     func(r *http.Request) (Fault, bool)
	requests map[string]int // by method
	log      []Exchange
	struck   int
	active   int // requests whose answers have not ended yet
}

// Exchange is one request that a gate saw.
type Exchange struct {
	Method, Path, Range, Agent string
	Status                     int
	Sent                       int64 // of the answer's body
	Struck                     bool
}

// New starts a gate before the server at backend (host:port).
func New(t testing.TB, backend string) *Gate {
	t.Helper()
	g := &Gate{requests: map[string]int{}}
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	forward := &httputil.ReverseProxy{
		// S3 clients sign the host, so it stays.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: backend})
			r.Out.Host = r.In.Host
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, forward) }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	g.URL, g.Addr = server.URL, server.Listener.Addr().String()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return g
}

// Spoil sets the rule. nil spoils nothing.
func (g *Gate) Spoil(rule func(*http.Request) (Fault, bool)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rule, g.struck = rule, 0
}

// Strikes returns how often the rule struck since it was set.
func (g *Gate) Strikes() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.struck
}

// Quiet waits until no request is in progress.
func (g *Gate) Quiet(t testing.TB) {
	t.Helper()
	parts.Poll(t, time.Minute, "requests on their way", func() error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.active > 0 {
			return fmt.Errorf("%d", g.active)
		}
		return nil
	})
}

// Take returns the exchanges since the last Take.
func (g *Gate) Take() []Exchange {
	g.mu.Lock()
	defer g.mu.Unlock()
	log := g.log
	g.log = nil
	return log
}

func (g *Gate) serve(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	g.mu.Lock()
	f, strike := Pass, false
	if g.rule != nil {
		f, strike = g.rule(r)
	}
	if strike {
		g.struck++
	} else {
		f = Pass
	}
	g.requests[r.Method]++
	g.active++
	g.mu.Unlock()
	out := &spoiler{ResponseWriter: w, fault: f, left: f.After, began: time.Now()}
	e := Exchange{Method: r.Method, Path: r.URL.RequestURI(), Range: r.Header.Get("Range"), Agent: r.Header.Get("User-Agent"), Struck: strike}
	defer func() {
		e.Status, e.Sent = out.status, out.sent
		g.mu.Lock()
		defer g.mu.Unlock()
		g.active--
		g.log = append(g.log, e)
	}()
	if f.Status == 0 && !f.Cut {
		forward.ServeHTTP(out, r)
		return
	}
	if f.Persisted {
		// The client may give up before the answer ends. The server's work must not end with the client.
		forward.ServeHTTP(&nowhere{header: http.Header{}}, r.WithContext(context.WithoutCancel(r.Context())))
		if f.Then != nil {
			f.Then()
		}
	}
	if f.Cut {
		panic(http.ErrAbortHandler)
	}
	if f.Retry != "" {
		w.Header().Set("Retry-After", f.Retry)
	}
	w.Header().Set("Content-Length", "0")
	out.WriteHeader(f.Status)
}

// spoiler writes an answer with its fault.
type spoiler struct {
	http.ResponseWriter
	fault  Fault
	left   int64
	began  time.Time
	status int
	sent   int64
}

func (s *spoiler) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *spoiler) WriteHeader(code int) {
	if s.status == 0 && code >= 200 {
		s.status = code
	}
	if s.fault.Shift != 0 {
		for _, name := range []string{"Date", "Last-Modified"} {
			if at, err := http.ParseTime(s.Header().Get(name)); err == nil {
				s.Header().Set(name, at.Add(s.fault.Shift).UTC().Format(http.TimeFormat))
			}
		}
	}
	s.ResponseWriter.WriteHeader(code)
}

func (s *spoiler) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	if s.fault.Flip && len(p) > 0 && s.sent == 0 {
		p = append([]byte(nil), p...)
		p[len(p)/2] ^= 1
	}
	if s.fault.After >= 0 {
		if int64(len(p)) > s.left {
			n, _ := s.ResponseWriter.Write(p[:s.left])
			s.sent += int64(n)
			_ = http.NewResponseController(s.ResponseWriter).Flush()
			panic(http.ErrAbortHandler)
		}
		s.left -= int64(len(p))
	}
	n, err := s.ResponseWriter.Write(p)
	s.sent += int64(n)
	if s.fault.Pace > 0 {
		due := s.began.Add(time.Duration(float64(s.sent) / float64(s.fault.Pace) * float64(time.Second)))
		<-time.After(time.Until(due))
	}
	return n, err
}

// nowhere discards an answer.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (n *nowhere) WriteHeader(int)             {}

// Nth returns a rule that strikes k of the requests that match, from the n-th on, counted from 1.
func Nth(n, k int, match func(*http.Request) bool, f Fault) func(*http.Request) (Fault, bool) {
	seen := 0
	return func(r *http.Request) (Fault, bool) {
		if !match(r) {
			return Pass, false
		}
		seen++
		return f, seen >= n && seen < n+k
	}
}
