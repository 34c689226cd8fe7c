package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A range must count with the bytes that it asks for, wherever it is sent, and the log must say the same as the metric.
func TestRangesCountWhatTheyAskFor(t *testing.T) {
	const size = 1000
	for name, tt := range map[string]struct {
		headers []string // of requests of one client, one after the other; "" for none, HEAD for a HEAD
		want    int64
	}{
		"whole":                        {[]string{""}, size},
		"head":                         {[]string{"HEAD"}, 0},
		"chunks":                       {[]string{"bytes=0-399", "bytes=400-799", "bytes=800-999"}, size},
		"lazy":                         {[]string{"bytes=-48", "bytes=700-949", "bytes=0-1"}, 48 + 250 + 2},
		"the last chunk is too long":   {[]string{"bytes=900-1899"}, 100},
		"beyond the end":               {[]string{"bytes=1000-1999", "bytes=1000-"}, 0},
		"several":                      {[]string{"bytes=0-9,20-29", "bytes=0-9,900-"}, 20 + 110},
		"longer suffix":                {[]string{"bytes=-5000"}, size},
		"servers ignore it":            {[]string{"bytes=9-3"}, size},
		"the rest, without a start":    {[]string{"bytes=600-"}, 400},
		"a download that goes on":      {[]string{"", "bytes=600-"}, size},
		"parts at once, to the end":    {[]string{"bytes=0-", "bytes=250-", "bytes=500-", "bytes=750-"}, size},
		"a rest that goes on":          {[]string{"bytes=600-", "bytes=700-"}, 400},
		"a number beyond all integers": {[]string{"bytes=0-99999999999999999999"}, size},
	} {
		for _, to := range []struct {
			kind, candidate string
			edit            []string // of the config
		}{
			{"store", "va", nil},
			{"pin", "us", []string{"deny:", `route: {pin: [{cidr: "2001:db8::/32", to: [us]}]}` + "\ndeny:"}},
			{"canonical", "us", []string{"serves: [aws]", "serves: [azure]", "serves: [internet]", "serves: [azure]"}},
		} {
			t.Run(name+" "+to.kind, func(t *testing.T) {
				w := newWorld(t, append([]string{"version: 1", "version: 1\nlog: {requests: 1}"}, to.edit...)...)
				candidate := to.candidate
				client := another()
				poll(t, "the size is known", func() bool {
					w.ask(t, another(), "GET /v2/a/blobs/"+digest)
					return strings.Contains(w.log.String(), `"size":1000`)
				})
				before, _ := w.counted(t)
				begin := len(w.log.String())
				for _, header := range tt.headers {
					switch header {
					case "":
						w.ask(t, client, "GET /v2/a/blobs/"+digest)
					case "HEAD":
						w.ask(t, client, "HEAD /v2/a/blobs/"+digest)
					default:
						w.ask(t, client, "GET /v2/a/blobs/"+digest, "Range: "+header)
					}
				}
				counted, _ := w.counted(t)
				if got := counted[candidate] - before[candidate]; got != float64(tt.want) {
					t.Errorf("%v bytes counted, want %d of %s", counted, tt.want, candidate)
				}
				var logged int64
				for line := range strings.Lines(w.log.String()[begin:]) {
					var is struct {
						Msg, Candidate string
						Bytes, Size    int64
					}
					if err := json.Unmarshal([]byte(line), &is); err != nil {
						t.Fatal(err)
					}
					if is.Msg == "request" && is.Candidate == candidate {
						logged += is.Bytes
						if is.Size != size {
							t.Errorf("%s: size %d, want %d", line, is.Size, size)
						}
					}
				}
				if logged != tt.want {
					t.Errorf("%d bytes logged, want %d", logged, tt.want)
				}
			})
		}
	}
}

// Strangers who ask for digests that nobody has must not make the proxy ask canonical for the size of each.
func TestMadeUpDigestsCostCanonicalLittle(t *testing.T) {
	w := newWorld(t, "serves: [aws]", "serves: [azure]", "serves: [internet]", "serves: [azure]")
	h, rw := w.server.Handler(), &discard{http.Header{}}
	begin := time.Now()
	for i := range 2000 {
		h.ServeHTTP(rw, getAs(fmt.Sprintf("2001:db8:%x::1", i), fmt.Sprintf("/v2/a/blobs/sha256:%064x", i+1)))
	}
	allowed := sizesPerSecond + int(time.Since(begin).Seconds()*sizesPerSecond) + 1
	poll(t, "the first are asked for", func() bool { return len(w.us.requests()) > 0 })
	if n := len(w.us.requests()); n > allowed {
		t.Errorf("%d requests at canonical, want at most %d", n, allowed)
	}
}
