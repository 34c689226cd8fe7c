package outbound

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A host that refuses connections gets a second, or half a minute if it has answered before. A host that does not
// answer well at the first contact gets ten seconds, or the time that it asks for if that is short. A host that has
// answered well gets as much time as it needs.
func TestVerdicts(t *testing.T) {
	refused, busy := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), errors.New("status 503")
	for name, tt := range map[string]struct {
		answered bool
		takes    time.Duration // for one attempt
		apart    time.Duration
		err      error
		asked    time.Duration
		want     int // attempts
	}{
		"never answered":          {false, 0, 300 * time.Millisecond, refused, 0, 5},
		"has answered":            {true, 0, 5 * time.Second, refused, 0, 7},
		"a certain one":           {true, 0, time.Second, &ProxyError{Status: 407}, 0, 1},
		"now and then":            {false, 0, 2 * time.Minute, refused, 0, 100},
		"nobody resolves":         {false, 0, time.Second, &net.DNSError{IsNotFound: true}, 0, 1},
		"cut off at first":        {false, 0, time.Second, io.ErrUnexpectedEOF, 0, 11},
		"cut off later":           {true, 0, time.Second, io.ErrUnexpectedEOF, 0, 100},
		"busy at first":           {false, 0, time.Second, busy, 0, 11},
		"busy later":              {true, 0, time.Second, busy, time.Second, 100},
		"busy, for a second":      {false, 0, time.Second, busy, time.Second, 11},
		"busy, for a while":       {false, 0, 20 * time.Second, busy, 20 * time.Second, 2},
		"busy, for an hour":       {false, 0, 0, busy, time.Hour, 1},
		"busy for an hour, later": {true, 0, time.Minute, busy, time.Hour, 100},
		"no answer at first":      {false, 10 * time.Second, 0, io.ErrUnexpectedEOF, 0, 1},
		"slowly, at first":        {false, 4 * time.Second, time.Second, busy, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var v Verdicts
				if tt.answered {
					v.Final(Outcome{})
				}
				n := 1
				for ; n < 100; n++ {
					began := time.Now()
					<-time.After(tt.takes)
					if v.Final(Outcome{began, tt.err, tt.asked}) {
						break
					}
					<-time.After(tt.apart)
				}
				if n != tt.want {
					t.Errorf("%d attempts, want %d", n, tt.want)
				}
				if v.Final(Outcome{}); v.Final(Outcome{Err: refused}) || v.New() {
					t.Error("an answer is forgotten")
				}
			})
		})
	}
}

// The log says once that the client waits for a host: at once when the host has never answered, otherwise when it takes
// long.
func TestTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		lines := func() int { return strings.Count(out.String(), "\n") }
		why := errors.New("status 429 Too Many Requests")
		var hosts Hosts
		v := hosts.Of("registry.test")
		for range 5 {
			v.Final(Outcome{Err: why})
			v.Tell(log, "registry.test", why, time.Second)
			<-time.After(time.Second)
		}
		if text := out.String(); lines() != 1 || !strings.Contains(text, "registry.test") || !strings.Contains(text, "429") || !strings.Contains(text, "10s") {
			t.Errorf("%s: want one line with host, reason and time", text)
		}
		v.Final(Outcome{})
		<-time.After(time.Hour)
		for range 15 { // a storm
			v.Final(Outcome{Err: why})
			v.Tell(log, "registry.test", why, time.Second)
			<-time.After(time.Second)
		}
		if lines() != 2 {
			t.Errorf("%s: want one more line, after ten seconds", &out)
		}
		v.Final(Outcome{})
		v.Final(Outcome{Err: why})
		v.Tell(log, "registry.test", why, time.Second)
		if lines() != 2 || hosts.Of("registry.test") != v || hosts.Of("other.test") == v {
			t.Errorf("%s: want no further line", &out)
		}
	})
}
