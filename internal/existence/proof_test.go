package existence

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/oci"
)

// answers are origins in virtual time. They answer at once, with the status for the path. 3xx answers have a Location.
type answers struct {
	mu      sync.Mutex
	status  func(path string) int
	nowhere atomic.Int64 // requests for what cannot exist
	asked   atomic.Int64 // all others
}

func (s *answers) say(f func(path string) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = f
}

func (s *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.Path, Nowhere) {
		s.nowhere.Add(1)
	} else {
		s.asked.Add(1)
	}
	<-time.After(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &http.Response{StatusCode: s.status(r.URL.Path), Header: http.Header{}, Body: http.NoBody, ContentLength: 9, Request: r}
	if resp.StatusCode/100 == 3 {
		resp.Header.Set("Location", "https://elsewhere.example/"+r.URL.Path)
	}
	return resp, nil
}

// always answers every request with the same status.
func always(status int) func(string) int { return func(string) int { return status } }

// honest answers status for what it has, and 404 for everything else.
func honest(status int) func(string) int {
	return func(path string) int {
		if strings.Contains(path, "sha256:b") || strings.HasSuffix(path, "/v1") {
			return status
		}
		return http.StatusNotFound
	}
}

func allowed() bool { return true }

// butNowhere answers other for what cannot exist, and status for everything else.
func butNowhere(status, other int) func(string) int {
	return func(path string) int {
		if strings.Contains(path, Nowhere) {
			return other
		}
		return status
	}
}

type turn struct {
	Origin   string
	Believed bool
}

func proofWorld(t *testing.T, status func(string) int, f func(t *testing.T, c *Checker, s *answers, turns *[]turn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &answers{status: status}
		var mu sync.Mutex // proofs of several subjects may end at the same time
		var turns []turn
		c, err := New(Options{Client: &http.Client{Transport: s}, Turned: func(tg Target, believed bool) {
			mu.Lock()
			defer mu.Unlock()
			turns = append(turns, turn{tg.Key.Origin, believed})
		}})
		if err != nil {
			t.Fatal(err)
		}
		f(t, c, s, &turns)
		<-time.After(20 * time.Second)
		c.Close()
	})
}

func replicaTarget(kind oci.Kind, repository, ref string) Target {
	what := "blobs"
	if kind != oci.KindBlob {
		what = "manifests"
	}
	return Target{
		Key: Key{Origin: "r", Kind: kind, Name: repository, Ref: ref}, URL: "https://replica/v2/" + repository + "/" + what + "/" + ref,
		Candidate: "r", RedirectIsHeld: kind == oci.KindBlob,
	}
}

func check(t *testing.T, c *Checker, tg Target) Answer {
	t.Helper()
	c.Check(t.Context(), home, []Target{tg})
	a, _ := c.Lookup(tg.Key)
	return a
}

var (
	held   = Answer{Held: true, Size: 9}
	behind = Answer{Held: true, Size: -1} // a redirect
	failed = Answer{Failed: true, Size: -1}
)

// The proxy believed a replica that redirected any blob for 24 hours: 404 200 404 404 404 404.
func TestWhoSaysYesToEverythingIsNotBelieved(t *testing.T) {
	blob, manifest, tag := replicaTarget(oci.KindBlob, "a", "sha256:b1"), replicaTarget(oci.KindManifest, "a", "sha256:b2"), replicaTarget(oci.KindTag, "a", "v1")
	store := pacedTarget("sha256:b1")
	tests := []struct {
		name   string
		status func(string) int
		target Target
		want   Answer
	}{
		{"a registry with storage behind it", honest(http.StatusTemporaryRedirect), blob, behind},
		{"a registry that answers itself", honest(http.StatusOK), blob, held},
		{"its manifests", honest(http.StatusOK), manifest, held},
		{"its tags", honest(http.StatusOK), tag, held},
		{"a store", honest(http.StatusOK), store, held},
		{"a registry that redirects any blob by 307", always(http.StatusTemporaryRedirect), blob, failed},
		{"by 308", always(http.StatusPermanentRedirect), blob, failed},
		{"by 302", always(http.StatusFound), blob, failed},
		{"by 300", always(http.StatusMultipleChoices), blob, failed},
		{"manifests", always(http.StatusTemporaryRedirect), manifest, failed},
		{"tags", always(http.StatusTemporaryRedirect), tag, failed},
		{"a store that redirects", always(http.StatusTemporaryRedirect), store, failed},
		{"a portal that says 200 to any blob", always(http.StatusOK), blob, failed},
		{"to any manifest", always(http.StatusOK), manifest, failed},
		{"to any tag", always(http.StatusOK), tag, failed},
		{"to any object", always(http.StatusOK), store, failed},
		{"one that redirects any blob of repositories it has", func(path string) int {
			if strings.HasPrefix(path, "/v2/a/") {
				return http.StatusTemporaryRedirect
			}
			return http.StatusNotFound
		}, blob, failed},
		{"one that redirects, and wants a login for what it lacks", butNowhere(http.StatusTemporaryRedirect, http.StatusUnauthorized), blob, failed},
		{"one that redirects, and is down for what it lacks", butNowhere(http.StatusTemporaryRedirect, http.StatusBadGateway), blob, failed},
		{"one that redirects, and says 400 to what it lacks", butNowhere(http.StatusTemporaryRedirect, http.StatusBadRequest), blob, behind},
		{"one that answers itself, and wants a login for what it lacks", butNowhere(http.StatusOK, http.StatusUnauthorized), blob, held},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			proofWorld(t, tt.status, func(t *testing.T, c *Checker, s *answers, _ *[]turn) {
				other := tt.target
				if other.Key.Name != "" { // a repository that the registry does not know proves nothing about others
					check(t, c, replicaTarget(tt.target.Key.Kind, "unknown", "sha256:c"))
				}
				for i := range 3 {
					got := check(t, c, tt.target)
					if got != tt.want && !(i == 0 && got == held) { // a 200 is believed during the attempt
						t.Errorf("answer = %+v, want %+v", got, tt.want)
					}
					for range 6 { // failures are forgotten, and the checker asks again
						c.Keep(tt.target, allowed)
						<-time.After(time.Second)
					}
				}
			})
		})
	}
}

func TestOneProofServesAll(t *testing.T) {
	proofWorld(t, honest(http.StatusTemporaryRedirect), func(t *testing.T, c *Checker, s *answers, turns *[]turn) {
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				if got := check(t, c, replicaTarget(oci.KindBlob, "a", fmt.Sprint("sha256:b", i))); got != behind {
					t.Errorf("answer %d = %+v", i, got)
				}
			})
		}
		wg.Wait()
		for i := range 30 {
			check(t, c, replicaTarget(oci.KindBlob, fmt.Sprint("other", i), "sha256:b"))
		}
		if n := s.nowhere.Load(); n != 1 {
			t.Errorf("%d requests for what cannot exist, want 1", n)
		}
		synctest.Wait()
		if len(*turns) > 0 {
			t.Errorf("turned: %v", *turns)
		}
	})
}

// Clients that make things up cause few attempts, and do not keep an origin from being believed.
func TestAFloodDoesNotKeepAnybodyFromProof(t *testing.T) {
	proofWorld(t, honest(http.StatusTemporaryRedirect), func(t *testing.T, c *Checker, s *answers, _ *[]turn) {
		for i := range 400 {
			c.Check(t.Context(), netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i), 0}), 24), []Target{replicaTarget(oci.KindBlob, fmt.Sprint("made-up", i), "sha256:c")})
			<-time.After(4 * time.Millisecond)
		}
		if n := s.nowhere.Load(); n > 4 {
			t.Errorf("%d requests for what cannot exist in 2 s", n)
		}
		go c.Check(t.Context(), home, []Target{replicaTarget(oci.KindBlob, "made-up", "sha256:c")})
		if got := check(t, c, replicaTarget(oci.KindBlob, "a", "sha256:b")); got != behind {
			t.Errorf("answer = %+v", got)
		}
	})
}

// A proof is renewed regularly. What was wrongly believed meanwhile is forgotten, and a repaired replica is believed
// again.
func TestAProofIsRenewed(t *testing.T) {
	proofWorld(t, honest(http.StatusTemporaryRedirect), func(t *testing.T, c *Checker, s *answers, turns *[]turn) {
		keep := func(d time.Duration) {
			for range int(d / time.Second) {
				c.Keep(replicaTarget(oci.KindBlob, "oci-proxy", "sha256:d"), allowed)
				<-time.After(time.Second)
			}
		}
		good, bad := replicaTarget(oci.KindBlob, "a", "sha256:b1"), replicaTarget(oci.KindBlob, "a", "sha256:nowhere")
		manifest := replicaTarget(oci.KindManifest, "a", "sha256:b2")
		s.say(func(path string) int {
			if strings.Contains(path, "/manifests/") {
				return honest(http.StatusOK)(path)
			}
			return honest(http.StatusTemporaryRedirect)(path)
		})
		check(t, c, good)
		check(t, c, manifest)
		manifests := true
		s.say(func(path string) int {
			if manifests && strings.Contains(path, "/manifests/") {
				return honest(http.StatusOK)(path)
			}
			return http.StatusTemporaryRedirect
		})
		if got := check(t, c, bad); got != behind {
			t.Fatalf("answer = %+v: the proof of a moment ago still holds", got)
		}
		keep(provenFor + 2*time.Second)
		for _, tg := range []Target{good, bad} {
			if a, known := c.Lookup(tg.Key); a.Held {
				t.Errorf("%s is still believed: %+v %v", tg.Key.Ref, a, known)
			}
		}
		if a, _ := c.Lookup(manifest.Key); !a.Held {
			t.Error("its manifests are forgotten too")
		}
		if got := check(t, c, bad); got != failed {
			t.Errorf("answer = %+v", got)
		}
		s.say(always(http.StatusServiceUnavailable))
		keep(2 * refutedFor)
		s.say(honest(http.StatusTemporaryRedirect))
		keep(refutedFor + renewalFor)
		if got := check(t, c, replicaTarget(oci.KindBlob, "a", "sha256:b3")); got != behind {
			t.Errorf("answer after it was mended = %+v", got)
		}
		synctest.Wait()
		if diff := cmp.Diff([]turn{{"r", false}, {"r", true}}, *turns); diff != "" {
			t.Errorf("turned (-want +got):\n%s", diff)
		}
		s.say(always(http.StatusServiceUnavailable))
		keep(2 * provenFor)
		if a, _ := c.Lookup(replicaTarget(oci.KindBlob, "a", "sha256:b3").Key); !a.Held {
			t.Error("an attempt that came to nothing took back the proof")
		}
	})
}

func TestAReloadHasProofsMadeAgain(t *testing.T) {
	proofWorld(t, honest(http.StatusOK), func(t *testing.T, c *Checker, s *answers, _ *[]turn) {
		tg := pacedTarget("sha256:b")
		check(t, c, tg)
		s.say(always(http.StatusOK))
		c.Renew()
		c.Keep(tg, allowed)
		<-time.After(time.Second)
		if a, _ := c.Lookup(tg.Key); a.Held {
			t.Error("still believed")
		}
	})
}

func TestCanonicalNeedsNoProof(t *testing.T) {
	proofWorld(t, always(http.StatusOK), func(t *testing.T, c *Checker, s *answers, _ *[]turn) {
		tg := replicaTarget(oci.KindTag, "a", "v1")
		tg.Trusted = true
		if got := check(t, c, tg); !got.Held || s.nowhere.Load() > 0 {
			t.Errorf("answer = %+v, %d asked for what cannot exist", got, s.nowhere.Load())
		}
	})
}
