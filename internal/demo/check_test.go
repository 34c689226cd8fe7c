package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// scripted replaces the proxy. It reads the scenario and does what it says.
// Tests make it wrong in one point.
type scripted struct {
	world *world
	// If redirect, place or handle is not nil, it makes scripted wrong.
	redirect func(c client, piece string) (node string, ok bool)
	place    func(c client) string
	handle   func(w http.ResponseWriter, r *http.Request, c client, piece string) bool
	gullible bool // takes the first entry of the header instead of the last
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entries := strings.Split(r.Header.Get(headerForwarded), ", ")
	at := entries[len(entries)-1]
	if s.gullible {
		at = entries[0]
	}
	c := clientAt(at)
	piece := s.world.image.pieceAt(r.URL.Path)
	if s.handle != nil && s.handle(w, r, c, piece) {
		return
	}
	w.Header().Set("Location", s.location(c, r.URL.Path))
	w.WriteHeader(http.StatusTemporaryRedirect)
}

func (s *scripted) location(c client, path string) string {
	piece := s.world.image.pieceAt(path)
	name := c.from(piece)
	if s.redirect != nil {
		if other, ok := s.redirect(c, piece); ok {
			name = other
		}
	}
	n := s.world.node(name)
	if n.upstream {
		return n.url + strings.Replace(path, "/v2/", "/v2/"+upstreamPrefix+"/", 1)
	}
	return n.url + blobRoot + path[strings.LastIndexByte(path, '/')+1:]
}

func (s *scripted) explain(_ context.Context, addr netip.Addr, path string) (explanation, error) {
	c := clientAt(addr.String())
	e := explanation{Place: c.Place, Location: s.location(c, path), Reason: "nearest"}
	if s.place != nil {
		e.Place = s.place(c)
	}
	return e, nil
}

func clientAt(address string) client {
	all := clients()
	return all[slices.IndexFunc(all, func(c client) bool { return c.Address == address })]
}

// pieceAt returns the name of the piece that a path asks for.
func (img *image) pieceAt(path string) string {
	reference := path[strings.LastIndexByte(path, '/')+1:]
	for _, v := range img.platforms {
		if reference == v.manifest {
			return "manifest"
		}
		for name, digest := range v.blobs {
			if reference == digest {
				return name
			}
		}
	}
	return "index"
}

// TestCheck checks that the checker accepts a correct world, and rejects every
// world with a single fault.
func TestCheck(t *testing.T) {
	data := func(w *world) string { return w.image.platforms["linux/amd64"].blobs["data"] }
	tests := []struct {
		name string
		fail func(t *testing.T, w *world, s *scripted)
		want []string // client: a part of its problem
	}{
		{name: "all is right", fail: func(*testing.T, *world, *scripted) {}},
		{
			name: "a store has other bytes under a digest",
			fail: func(_ *testing.T, w *world, _ *scripted) {
				blobs := maps.Clone(w.image.blobs)
				wrong := slices.Clone(blobs[data(w)].data)
				wrong[len(wrong)/2] ^= 1
				blobs[data(w)] = content{typeLayer, wrong}
				w.node(nodeVirginia).handler = (&store{blobs: blobs, absent: http.StatusForbidden}).serve
			},
			want: []string{"aws-virginia: data: aws-us-east-1 sent 485439 bytes that are not sha256:"},
		},
		{
			name: "a store lacks a blob it is thought to have",
			fail: func(_ *testing.T, w *world, _ *scripted) {
				w.node(nodeAzure).handler = w.image.store(nodeAzure, http.StatusNotFound, "app").serve
			},
			want: []string{"azure-amsterdam: app: azure-westeurope: the answer was 404 Not Found, not 200"},
		},
		{
			name: "a layer is cut short",
			fail: func(_ *testing.T, w *world, _ *scripted) {
				whole := w.node(nodeCDN).handler
				w.node(nodeCDN).handler = func(rw http.ResponseWriter, r *http.Request) string {
					if !strings.HasSuffix(r.URL.Path, data(w)) {
						return whole(rw, r)
					}
					_, _ = rw.Write(w.image.blobs[data(w)].data[:1000])
					return data(w)
				}
			},
			want: []string{"home: data: cdn sent 1000 bytes", "spoofer: data: cdn sent 1000 bytes"},
		},
		{
			name: "a redirect to another store that has it too",
			fail: func(_ *testing.T, _ *world, s *scripted) {
				s.redirect = func(c client, piece string) (string, bool) {
					return nodeVirginia, c.Name == "home" && piece == "base"
				}
			},
			want: []string{"home: base: went to aws-us-east-1, should have gone to cdn"},
		},
		{
			name: "a redirect out of this world",
			fail: func(t *testing.T, w *world, s *scripted) {
				rogue := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					_, _ = rw.Write(w.image.blobs[data(w)].data)
				}))
				t.Cleanup(rogue.Close)
				s.handle = func(rw http.ResponseWriter, r *http.Request, c client, piece string) bool {
					if c.Name != "aws-dublin" || piece != "data" {
						return false
					}
					http.Redirect(rw, r, rogue.URL, http.StatusTemporaryRedirect)
					return true
				}
			},
			want: []string{"aws-dublin: data: went to 127.0.0.1:", "aws-dublin: data: redirected to"},
		},
		{
			name: "the proxy sends a layer itself",
			fail: func(_ *testing.T, w *world, s *scripted) {
				s.handle = func(rw http.ResponseWriter, _ *http.Request, c client, piece string) bool {
					if c.Name != "gcp-belgium" || piece != "data" {
						return false
					}
					_, _ = rw.Write(w.image.blobs[data(w)].data)
					return true
				}
			},
			want: []string{"gcp-belgium: data: the proxy answered 200 OK, not 307", "gcp-belgium: data: redirected to \"\""},
		},
		{
			name: "a spoofed address is believed",
			fail: func(_ *testing.T, _ *world, s *scripted) { s.gullible = true },
			want: slices.Concat(
				repeat("spoofer: %s: redirected to", "config", "base", "runtime", "data", "app"),
				repeat("spoofer: %s: went to aws-us-east-1, should have gone to cdn", "config", "base", "runtime", "data", "app"),
			),
		},
		{
			name: "a client is thought to be elsewhere",
			fail: func(_ *testing.T, _ *world, s *scripted) {
				s.place = func(c client) string {
					if c.Name == "home" {
						return "gcp/us-central1"
					}
					return c.Place
				}
			},
			want: repeat("home: %s: the proxy places 2001:db8:ff::7 in \"gcp/us-central1\", should be \"\"",
				"index", "manifest", "config", "base", "runtime", "data", "app"),
		},
		{
			name: "a tag leads to another image",
			fail: func(_ *testing.T, w *world, _ *scripted) {
				g := w.image.registry()
				g.tags[imageTag] = w.image.platforms["linux/amd64"].manifest
				w.node(nodeEU).handler = g.serve
			},
			want: slices.Concat(
				repeat("%s: index: eu sent 876 bytes", "aws-singapore", "aws-dublin", "gcp-belgium", "azure-amsterdam"),
				repeat("%s: eu sent 876 bytes of", "aws-singapore", "aws-dublin", "gcp-belgium", "azure-amsterdam"),
				repeat("%s: index: got 876 bytes from eu, which sent 0", "aws-singapore", "aws-dublin", "gcp-belgium", "azure-amsterdam"),
			),
		},
		{
			name: "a store sent bytes nobody asked the proxy for",
			fail: func(t *testing.T, w *world, s *scripted) {
				s.handle = func(_ http.ResponseWriter, _ *http.Request, c client, piece string) bool {
					if c.Name == "aws-virginia" && piece == "index" {
						sneak(t, w.node(nodeAzure).url+blobRoot+data(w), c.Name)
					}
					return false
				}
			},
			want: []string{"aws-virginia: azure-westeurope sent 485439 bytes of"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newTestWorld(t)
			s := &scripted{world: w}
			tt.fail(t, w, s)
			r := newTestChecker(t, w, s).check(t.Context(), clients())
			if r.OK != (len(tt.want) == 0) {
				t.Errorf("OK = %v", r.OK)
			}
			var got []string
			for _, p := range r.Clients {
				for _, problem := range p.Problems {
					got = append(got, p.Client+": "+problem)
				}
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			for i, line := range got {
				if i < len(tt.want) && strings.HasPrefix(line, tt.want[i]) {
					got[i] = tt.want[i]
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// newTestWorld makes a world. Tests may change its nodes before newTestChecker
// serves it.
func newTestWorld(t *testing.T) *world {
	t.Helper()
	w, err := newWorld(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

// newTestChecker serves the world and the scripted proxy.
func newTestChecker(t *testing.T, w *world, s *scripted) *checker {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- w.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	transport := newTransport()
	t.Cleanup(transport.CloseIdleConnections)
	proxy := httptest.NewServer(s)
	t.Cleanup(proxy.Close)
	front := httptest.NewServer(newFront(proxy.Listener.Addr().String(), transport))
	t.Cleanup(front.Close)
	return &checker{world: w, proxy: proxy.URL, front: front.URL, explain: s.explain, transport: transport}
}

// sneak gets a URL as a client of the demo, bypassing the proxy.
func sneak(t *testing.T, url, client string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("User-Agent", agent+client)
	transport := newTransport()
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("get %s: %s, %v", url, res.Status, err)
	}
}

func repeat(format string, names ...string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf(format, n)
	}
	return out
}
