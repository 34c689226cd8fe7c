package health

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// resuming answers whole objects and closed ranges well, and a resume with rest.
func resuming(rest http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("Range"), "-") {
			rest(w, r)
			return
		}
		serve(w, r)
	}
}

// A probe that proves reads an object whole, then a range, then from a position to its end.
func TestProofReadsAsClientsThatResume(t *testing.T) {
	from := func(r *http.Request) (first int) {
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &first)
		return first
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		size    int64
		want    outcome
		says    string
	}{
		{"good", serve, int64(len(blob)), pass, ""},
		{"good, size unknown", serve, -1, pass, ""},
		{"400 to resumes", resuming(status(400)), int64(len(blob)), fail, "status 400"},
		{"416 to resumes", resuming(status(416)), int64(len(blob)), fail, "status 416"},
		{"the whole object", resuming(func(w http.ResponseWriter, _ *http.Request) { w.Write(blob) }), int64(len(blob)), fail, "downloads cannot be resumed"},
		{"a part of the rest", resuming(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from(r), from(r), len(blob)+1))
			w.WriteHeader(206)
			w.Write(blob[:1])
		}), int64(len(blob)), fail, "asked for the bytes from"},
		{"another total", resuming(func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(append(bytes.Clone(blob), 'x')))
		}), int64(len(blob)), fail, "has 30001 bytes, should have 30000"},
		{"nothing after the header", resuming(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from(r), len(blob)-1, len(blob)))
			w.Header().Set("Content-Length", fmt.Sprint(len(blob)-from(r)))
			w.WriteHeader(206)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}), -1, fail, "breaks off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(tt.handler)
			srv.Config.ErrorLog = nil
			srv.Start()
			defer srv.Close()
			target := &Target{Name: "s", Prove: true, Sample: func(int64) (Object, bool) {
				return Object{URL: srv.URL + "/blob", Digest: sum(blob), Size: tt.size}, true
			}}
			m := quick(srv.Client())
			for turn, kind := range []queryKind{wholeObject, byteRange} {
				if r := m.probe(t.Context(), target, turn, Object{}); r.outcome != pass || tt.size > 0 && r.kind != kind {
					t.Errorf("turn %d: %+v", turn, r)
				}
			}
			r := m.probe(t.Context(), target, 2, Object{})
			if r.kind != openRange {
				t.Errorf("kind %v", r.kind)
			}
			expect(t, r, tt.want, tt.says)
		})
	}
}

// The end that is read is never the whole object, and at most 64 KiB.
func TestResumeOf(t *testing.T) {
	for _, size := range []int64{1, 2, 3, 1000, maxWhole, maxWhole + 1, 10 * maxWhole} {
		for range 1000 {
			q := resumeOf(Object{Size: size})
			if q.start+q.length != size || q.length > maxWhole || q.length < 1 || q.start == 0 && size > 1 {
				t.Fatalf("of %d: %d bytes from %d", size, q.length, q.start)
			}
		}
	}
}

// A proof begins when a target asks for it, needs ranges and resumes, and ends with a failure.
func TestProof(t *testing.T) {
	virtual(t, 3, func(t *testing.T, w *world, m *Monitor, v *View) {
		proof := func() string {
			good, fails, blank, complete := v.Proof(0)
			return fmt.Sprint(good > 0, fails, blank, complete)
		}
		elapse(20 * time.Minute)
		if got := proof(); got != "false 0 0 false" {
			t.Errorf("nobody asked for a proof: %s", got)
		}
		list := targets(3)
		list[0].Prove = true
		w.probes("s0")
		v = m.SetTargets(list)
		until(t, time.Minute, func() bool { good, _, _, _ := v.Proof(0); return good == 2 })
		if _, _, _, complete := v.Proof(0); complete {
			t.Error("complete without a resume")
		}
		took := until(t, time.Minute, func() bool { good, _, _, complete := v.Proof(0); return good >= 5 && complete })
		if n := len(w.probes("s0")); n < 5 || n > 6 || took < 20*time.Second {
			t.Errorf("%d probes in %v, want 5 in about 50 s", n, took)
		}
		v = m.SetTargets(list) // a reload keeps it
		if good, _, _, complete := v.Proof(0); good < 5 || !complete {
			t.Errorf("after a reload: %d %v", good, complete)
		}
		w.set("no resumes", "s0")
		until(t, time.Minute, func() bool { return proof() == "false 1 0 false" })
		elapse(2 * time.Minute)
		if _, fails, _, _ := v.Proof(0); fails < 3 || v.String() != "-++" {
			t.Errorf("a failed read is not repeated in the same way: %d failures, %s", fails, v)
		}
		w.set("404", "s0")
		elapse(time.Minute)
		w.set("", "s0")
		until(t, 2*time.Minute, func() bool { good, _, _, complete := v.Proof(0); return good >= 5 && complete })
		m.SetTargets(targets(3))
		v = m.SetTargets(list)
		if got := proof(); got != "false 0 0 false" {
			t.Errorf("a new proof begins with the old one: %s", got)
		}
		list[0].Sample = nil
		v = m.SetTargets(list)
		m.mu.Lock()
		v.list[0].hasKept = false
		m.mu.Unlock()
		until(t, 3*time.Minute, func() bool { _, _, blank, _ := v.Proof(0); return blank >= 5 })
	})
}

// A store that serves whole objects and ranges, and refuses clients that resume, is out after three turns and the
// failures in a row, and comes back only after a resume was good. A registry need not serve parts.
func TestResumesEject(t *testing.T) {
	virtual(t, 3, func(t *testing.T, w *world, m *Monitor, v *View) {
		list := targets(3)
		list[1].RangeOptional = true
		v = m.SetTargets(list)
		elapse(20 * time.Minute)
		w.set("no resumes", "s0", "s1")
		until(t, turns*6*time.Minute+time.Minute, func() bool { return v.String() == "-++" }) // nobody is sent there: idle
		elapse(time.Hour)
		if got := v.String(); got != "-++" {
			t.Errorf("an hour later: %s", got)
		}
		w.set("", "s0", "s1")
		if took := until(t, 2*time.Minute, func() bool { return v.String() == "+++" }); took < 30*time.Second {
			t.Errorf("back after %v", took)
		}
		m.mu.Lock()
		v.list[2].seen.Store(int64(m.now()))
		m.mu.Unlock()
		w.set("no resumes", "s2")
		until(t, turns*40*time.Second, func() bool { return v.String() == "++-" }) // a busy one
	})
}

func turnOf(whole bool) int {
	if whole {
		return wholeTurn
	}
	return rangeTurn
}
