package probe

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/check/judge"
)

// TestFaults puts one fault at a time into a good world. Each check must be seen failing.
func TestFaults(t *testing.T) {
	status := func(code int) fault {
		return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
	}
	on := func(match func(*http.Request) bool, f fault) fault {
		return func(w http.ResponseWriter, r *http.Request) bool { return match(r) && f(w, r) }
	}
	path := func(part string) func(*http.Request) bool {
		return func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
	}
	ranged := func(is func(string) bool) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Header.Get("Range") != "" && is(r.Header.Get("Range")) }
	}
	anyRange := ranged(func(string) bool { return true })
	body := func(kind, text string) fault {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(text))
			return true
		}
	}
	type row struct {
		name   string
		change func(w *world)
		check  string
		as     string // class of the finding; "" any
		detail string
		also   []string // checks that the fault breaks too
	}
	table := []row{
		{name: "the server ignores the identity", check: "identity", as: Self.Name, detail: "does not take notice",
			change: func(w *world) {
				w.faults["name"] = func(_ http.ResponseWriter, r *http.Request) bool { r.Header.Del(identityHeader); return false }
			}},
		{name: "the server refuses the identity", check: "identity", detail: "403",
			change: func(w *world) {
				w.faults["name"] = on(func(r *http.Request) bool { return r.Header.Get(identityHeader) != "" }, status(403))
			}},
		{name: "asks for a login", check: "ping", detail: "401", change: func(w *world) { w.faults["name"] = on(path("/v2/"), status(401)) },
			also: []string{"tag", "unknown.digest", "unknown.tag", "unknown.repository", "identity", "head"}},
		{name: "another website", check: "ping", detail: "HTML", change: func(w *world) { w.faults["name"] = body("text/html", "<html>") },
			also: []string{"tag", "unknown.digest", "unknown.tag", "unknown.repository", "method", "catalog", "path", "identity"}},
		{name: "no IPv6 at the name", check: "ipv6", detail: "no AAAA", change: func(w *world) { w.hosts["name.test"] = map[string]string{"ip4": "127.0.0.1"} }},
		{name: "dead IPv6 at a store", check: "ipv6", detail: "refused", change: func(w *world) { w.hosts["far.test"] = map[string]string{"ip4": "127.0.0.1", "ip6": "127.0.0.2"} }},
		{name: "dead IPv4 at a store", check: "ipv4", detail: "refused", change: func(w *world) { w.hosts["far.test"] = map[string]string{"ip6": "127.0.0.1", "ip4": "127.0.0.2"} }},
		{name: "certificate of the name ended", check: "tls", detail: "expired", change: func(w *world) { w.until["name.test"] = time.Now().Add(-time.Hour) },
			also: []string{"ping"}},
		{name: "certificate of a store ended", check: "tls", detail: "expired", change: func(w *world) { w.until["far.test"] = time.Now().Add(-time.Hour) },
			also: []string{"blob", "head", "range.first", "range.middle", "range.open", "range.suffix", "range.past-end", "range.parallel", "resume"}},
		{name: "certificate of a store ends soon", check: "tls.expiry", detail: "in 3.0 days", change: func(w *world) { w.until["far.test"] = time.Now().Add(72 * time.Hour) }},
		{name: "a store speaks plain HTTP", check: idRedirect, detail: "not to HTTPS", change: func(w *world) { w.plain["far"] = true }, also: []string{"near"}},
		{name: "the name has no HTTP/2", check: "h2", detail: "no HTTP/2", change: func(w *world) { w.only1["name"] = true }},
		{name: "a store breaks HTTP/1.1", check: "http1", detail: "EOF", change: func(w *world) {
			w.faults["far"] = on(func(r *http.Request) bool { return r.ProtoMajor == 1 }, func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
		}},
		{name: "a store's clock is wrong", check: "clock", detail: "differ by", change: func(w *world) {
			w.faults["far"] = func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Date", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
				return false
			}
		}},
		{name: "the tag is gone", check: "tag", detail: "404", change: func(w *world) { delete(w.manifests, "1.0") }},
		{name: "HEAD of a tag gives no digest", check: "tag", detail: "no digest", also: []string{"identity"}, change: func(w *world) {
			w.faults["name"] = on(path("/manifests/1.0"), func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(200); return true })
		}},
		{name: "a replica is behind", check: "tag.same", as: nowhere.Name, detail: "for self", change: func(w *world) {
			for _, m := range w.manifests {
				if bytes.Contains(m, []byte(w.big)) {
					w.old = digestOf(m)
				}
			}
		}},
		{name: "a manifest has other bytes", check: "manifest", detail: "are others", change: func(w *world) {
			w.manifests[w.index] = bytes.Replace(w.manifests[w.index], []byte("amd64"), []byte("amd65"), 1)
		}, also: []string{"tag", "head"}},
		{name: "a front answers HEAD by itself", check: "head", detail: "HEAD says 7 bytes", change: func(w *world) {
			w.faults["name"] = on(func(r *http.Request) bool {
				return r.Method == http.MethodHead && strings.Contains(r.URL.Path, w.index)
			},
				func(rw http.ResponseWriter, _ *http.Request) bool {
					rw.Header().Set("Docker-Content-Digest", w.index)
					rw.Header().Set("Content-Length", "7")
					return true
				})
		}},
		{name: "HEAD of a blob has another length", check: "head", detail: "Content-Length 7", change: func(w *world) {
			w.faults["far"] = on(func(r *http.Request) bool { return r.Method == http.MethodHead }, func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Content-Length", "7")
				return true
			})
		}},
		{name: "redirect with a password", check: idRedirect, detail: "user name", change: func(w *world) {
			w.faults["name"] = on(path("/blobs/"), func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Location", "https://u:SECRET@near.test/x")
				rw.WriteHeader(307)
				return true
			})
		}, also: []string{idCoherent, "signature", "unknown.digest", "near", "method", "path", "address"}},
		{name: "a store is not on the list", check: "endpoint", detail: "not on the list", change: func(w *world) { w.opt.Listed = func(host string) bool { return strings.HasPrefix(host, "near") } }},
		{name: "clients of a place go elsewhere", check: "decision", also: []string{"address"}, as: virginia.Name, detail: "the config says", change: func(w *world) {
			w.opt.Explain = func(_ context.Context, _ netip.Addr, _, path string) (Expected, error) {
				return Expected{"near", w.urls["near"].String() + path[strings.LastIndex(path, "/"):], "nearest"}, nil
			}
			w.route["198.18.0"], w.route["203.0.113"] = "far", "near"
		}},
		{name: "a store has other bytes", check: idLayer, as: "self", detail: "are others", change: func(w *world) {
			w.faults["near"] = on(func(r *http.Request) bool { return r.Method == http.MethodGet && strings.Contains(r.URL.Path, w.big) },
				func(rw http.ResponseWriter, r *http.Request) bool {
					other := slices.Clone(w.blobs[w.big])
					other[100] ^= 1
					http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(other))
					return true
				})
		}, also: []string{"range.parallel", "resume"}},
		{name: "a far store lacks a blob", check: "blob", as: nowhere.Name, detail: "404", change: func(w *world) { w.faults["far"] = on(path(w.big), status(404)) },
			also: []string{"head"}},
		{name: "a far store answers 400 to ranges", check: "blob", as: nowhere.Name, detail: "400", change: func(w *world) { w.faults["far"] = on(anyRange, status(400)) },
			also: []string{"range.first", "range.middle", "range.open", "range.suffix", "range.past-end", "range.parallel", "resume"}},
		{name: "HTML with 200", check: "blob", detail: "HTML", change: func(w *world) { w.faults["far"] = body("text/html", "<!doctype html>") },
			also: []string{"head", "range.first", "range.middle", "range.open", "range.suffix", "range.past-end", "range.parallel", "resume"}},
		{name: "no first byte", check: "range.first", detail: "500", change: func(w *world) {
			w.faults["near"] = on(ranged(func(h string) bool { return h == "bytes=0-0" }), status(500))
		}},
		{name: "no middle", check: "range.middle", detail: "500", also: []string{"range.parallel"}, change: func(w *world) {
			w.faults["near"] = on(ranged(func(h string) bool {
				return !strings.HasPrefix(h, "bytes=0-") && !strings.HasPrefix(h, "bytes=-") && !strings.HasSuffix(h, "-") && !parallelPart(h, w)
			}), status(500))
		}},
		{name: "no open range", check: "range.open", detail: "500", change: func(w *world) {
			w.faults["near"] = on(ranged(func(h string) bool {
				return strings.HasSuffix(h, "-") && h != fmt.Sprintf("bytes=%d-", len(w.blobs[w.big]))
			}), status(500))
		}, also: []string{"resume", "range.past-end"}},
		{name: "no suffix", check: "range.suffix", detail: "500", change: func(w *world) {
			w.faults["near"] = on(ranged(func(h string) bool { return strings.HasPrefix(h, "bytes=-") }), status(500))
		}},
		{name: "500 past the end", check: "range.past-end", detail: "500", change: func(w *world) {
			w.faults["near"] = on(ranged(func(h string) bool { return h == fmt.Sprintf("bytes=%d-", len(w.blobs[w.big])) }), status(500))
		}},
		{name: "one request at a time", check: "range.parallel", detail: "429", also: []string{"blob"}, change: func(w *world) {
			w.faults["near"] = on(func(r *http.Request) bool { return parallelPart(r.Header.Get("Range"), w) }, status(429))
		}},
		{name: "resumed pulls start again", check: "resume", as: "self", detail: "200, want 206", change: func(w *world) {
			w.faults["near"] = on(ranged(func(h string) bool { return strings.HasSuffix(h, "-") }), func(_ http.ResponseWriter, r *http.Request) bool {
				r.Header.Del("Range")
				return false
			})
		}, also: []string{"range.open", "range.past-end"}},
		{name: "redirects may be cached", check: "cache-control", detail: "want no-store", change: func(w *world) {
			w.faults["name"] = on(path("/blobs/"), func(rw http.ResponseWriter, r *http.Request) bool {
				w.registry(public{rw}, r)
				return true
			})
		}},
		{name: "a platform's manifest is gone", check: idCoherent, as: "self", detail: "404", change: func(w *world) {
			for name, m := range w.manifests {
				if bytes.Contains(m, []byte("config")) && name != w.signature && !strings.HasSuffix(name, ".sig") && !bytes.Contains(m, []byte(w.big)) {
					delete(w.manifests, name)
				}
			}
		}},
		{name: "another platform's layer is gone", check: idCoherent, as: "self", detail: "blob", change: func(w *world) {
			for name, b := range w.blobs {
				if bytes.HasPrefix(b, []byte("layer of arm64")) {
					delete(w.blobs, name)
				}
			}
		}},
		{name: "the signature's manifest is gone", check: "signature", detail: "404", change: func(w *world) { delete(w.manifests, w.signature) }},
		{name: "the signature's blob is gone", check: "signature", detail: "404", change: func(w *world) { delete(w.blobs, w.sigBlob) }},
		{name: "no signature", check: "signature", detail: "no signature", change: func(w *world) {
			w.opt.Signed = true
			delete(w.manifests, strings.Replace(w.index, ":", "-", 1)+".sig")
			w.faults["name"] = on(path("/referrers/"), body("application/json", `{"schemaVersion":2,"manifests":[]}`))
		}},
		{name: "the list of tags loops", check: idTags, detail: "twice", change: func(w *world) {
			n := 0
			w.faults["name"] = on(path("/tags/list"), func(rw http.ResponseWriter, r *http.Request) bool {
				n++
				rw.Header().Set("Link", fmt.Sprintf(`</v2/app/web/tags/list?last=%d>; rel="next"`, n))
				_, _ = rw.Write([]byte(`{"tags":["1.0"]}`))
				return true
			})
		}},
		{name: "the list of tags has a loop of empty pages", check: idTags, detail: "loops", change: func(w *world) {
			w.faults["name"] = on(path("/tags/list"), func(rw http.ResponseWriter, r *http.Request) bool {
				rw.Header().Set("Link", `</v2/app/web/tags/list?last=0.9>; rel="next"`)
				_, _ = rw.Write([]byte(`{"tags":[]}`))
				return true
			})
		}},
		{name: "a page of tags at another host", check: idTags, detail: "another host", change: func(w *world) {
			w.faults["name"] = on(path("/tags/list"), func(rw http.ResponseWriter, r *http.Request) bool {
				rw.Header().Set("Link", `<https://upstream.example/v2/app/web/tags/list?last=0.9>; rel="next"`)
				_, _ = rw.Write([]byte(`{"tags":["1.0"]}`))
				return true
			})
		}},
		{name: "a lagging list of tags", check: idTags, detail: "not in the list", change: func(w *world) {
			w.faults["name"] = on(path("/tags/list"), body("application/json", `{"tags":["0.9"]}`))
		}},
		{name: "200 for an unknown blob", check: "unknown.digest", detail: "200", change: func(w *world) {
			w.faults["near"] = on(func(r *http.Request) bool { return w.blobs[strings.TrimPrefix(r.URL.Path, "/")] == nil }, status(200))
		}},
		{name: "a front's own page for an unknown tag", check: "unknown.tag", detail: "not an error of the specification", change: func(w *world) {
			w.faults["name"] = on(path("/manifests/oci-proxy-probe"), status(404))
		}},
		{name: "500 for an unknown repository", check: "unknown.repository", detail: "500", change: func(w *world) { w.faults["name"] = on(path("/oci-proxy-probe/"), status(500)) }},
		{name: "accepts uploads", check: "method", detail: "202", change: func(w *world) {
			w.faults["name"] = on(func(r *http.Request) bool { return r.Method == http.MethodPost }, status(202))
		}},
		{name: "lists its repositories", check: "catalog", detail: "200", change: func(w *world) { w.faults["name"] = on(path("/_catalog"), status(200)) }},
		{name: "path tricks reach another server", check: "path", detail: "502", change: func(w *world) {
			w.faults["name"] = on(func(r *http.Request) bool { return strings.Contains(r.URL.EscapedPath(), "%00") }, status(502))
		}},
		{name: "a front hides the client's address", check: "address", as: "self", detail: "sees it at another address", change: func(w *world) {
			w.route[""] = "far"
		}},
		{name: "a network is scattered", check: "near", as: virginia.Name, detail: "19 of 20", change: func(w *world) {
			seen := 0
			w.opt.Concurrency = 1
			w.opt.Explain = nil
			w.faults["name"] = func(_ http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.Header.Get(identityHeader), "198.18.0.") && strings.Contains(r.URL.Path, w.big) {
					if seen++; seen > 3 {
						w.route["198.18.0"] = "far"
					}
				}
				return false
			}
		}},
		{name: "slow first byte", check: "speed", as: "self", detail: "first byte", change: func(w *world) {
			w.faults["near"] = on(func(r *http.Request) bool { return r.Method == http.MethodGet && r.Header.Get("Range") == "" }, func(_ http.ResponseWriter, r *http.Request) bool {
				select {
				case <-r.Context().Done():
				case <-time.After(1100 * time.Millisecond):
				}
				return false
			})
		}},
		{name: "the bounds are too small", check: idBudget, detail: "40 requests", change: func(w *world) { w.opt.Limits.Requests = 40 }},
	}
	for _, c := range Checks() {
		if !slices.ContainsFunc(table, func(tt row) bool { return tt.check == c.ID }) {
			t.Errorf("no fault for the check %s", c.ID)
		}
	}
	for _, tt := range table {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(w)
			r := w.run()
			hit := slices.ContainsFunc(r.Findings, func(f Finding) bool {
				return f.Check == tt.check && (f.Result == judge.Failed || f.Result == judge.Warning) && (tt.as == "" || tt.as == f.As) && strings.Contains(f.Detail, tt.detail)
			})
			if !hit {
				t.Errorf("no %s with %q:\n%s", tt.check, tt.detail, show(r))
			}
			for _, f := range r.Findings {
				if (f.Result == judge.Failed || f.Result == judge.Warning) && f.Hint == "" {
					t.Errorf("%s: %s: no hint", f.Check, f.Detail)
				}
				if strings.Contains(f.Detail, "SECRET") {
					t.Errorf("%s tells a secret: %s", f.Check, f.Detail)
				}
			}
			for _, id := range bad(r) {
				if id != tt.check && !slices.Contains(tt.also, id) {
					t.Errorf("%s fails too:\n%s", id, show(r))
				}
			}
		})
	}
}

// parallelPart reports whether a Range header is one of the pieces of the check range.parallel of the biggest layer.
func parallelPart(header string, w *world) bool {
	all := min(int64(len(w.blobs[w.big])), parallelRanges*smallRange)
	each := (all + parallelRanges - 1) / parallelRanges
	for i := range int64(parallelRanges) {
		if header == (judge.Span{From: i * each, To: min((i+1)*each, all) - 1}).Header(false) {
			return true
		}
	}
	return false
}

// public lets a cache keep an answer.
type public struct{ http.ResponseWriter }

func (p public) WriteHeader(status int) {
	p.Header().Set("Cache-Control", "public, max-age=60")
	p.ResponseWriter.WriteHeader(status)
}

func TestChecksHaveUniqueAnchors(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks() {
		if a := Anchor(c.ID); seen[a] || c.Title == "" || c.Severity != judge.Failed && c.Severity != judge.Warning {
			t.Errorf("%+v", c)
		} else {
			seen[a] = true
		}
	}
}
