package existence

import (
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/oci"
)

func TestWhatIsLostTakesItsRepositoryWithIt(t *testing.T) {
	var lost atomic.Bool
	o := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		if lost.Load() {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	c := newChecker(t, Options{Budget: time.Minute})
	of := func(name string, kind oci.Kind, ref string) Target {
		return Target{Key: Key{Origin: o.URL, Name: name, Kind: kind, Ref: ref}, URL: o.URL + "/" + name + "/" + ref, Candidate: "r"}
	}
	index, image, tag := of("a", oci.KindManifest, "index"), of("a", oci.KindManifest, "image"), of("a", oci.KindTag, "v1")
	blob, neighbour := of("a", oci.KindBlob, "layer"), of("b", oci.KindManifest, "index")
	for _, tg := range []Target{index, image, tag, blob, neighbour} {
		c.Check(t.Context(), home, []Target{tg})
	}
	known := func(tg Target) bool {
		a, ok := c.Lookup(tg.Key)
		return ok && a.Held
	}
	if a, ok := c.CheckAgain(t.Context(), home, index); !ok || !a.Held || !known(image) {
		t.Fatalf("while it is there: %+v, %v", a, ok)
	}
	lost.Store(true)
	if a, ok := c.CheckAgain(t.Context(), home, blob); !ok || a.Held || !known(image) {
		t.Errorf("after a blob was lost: %+v, %v; the image is known: %v", a, ok, known(image))
	}
	if a, ok := c.CheckAgain(t.Context(), home, index); !ok || a.Held {
		t.Errorf("after the index was lost: %+v, %v", a, ok)
	}
	for what, tt := range map[string]struct {
		Target
		want bool
	}{"the image": {image, false}, "the tag": {tag, false}, "another repository": {neighbour, true}} {
		if known(tt.Target) != tt.want {
			t.Errorf("%s is known: %v, want %v", what, !tt.want, tt.want)
		}
	}
}

// An answer that does not come in time counts as no answer.
func TestCheckAgainHasATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChecker(t, Options{Budget: time.Second})
		c.client.Transport = silent{}
		tg := Target{Key: Key{Origin: "o", Ref: "r"}, URL: "http://o.example/r"}
		begin := time.Now()
		if a, ok := c.CheckAgain(t.Context(), home, tg); ok {
			t.Errorf("%+v", a)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("waited for %v", took)
		}
		<-time.After(time.Minute) // the check ends by its time-out
	})
}

// silent never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A no that another source found out is remembered as if the origin had said it: whatever the origin says, and for as
// long.
func TestARefutationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{Client: &http.Client{Transport: &answers{status: func(string) int { return http.StatusOK }}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		tg := Target{Key: Key{Origin: "o", Kind: oci.KindBlob, Ref: "layer"}, URL: "https://o/layer", Candidate: "o"}
		if a := check(t, c, tg); !a.Held {
			t.Fatalf("%+v", a)
		}
		c.Refute(tg.Key)
		if a := check(t, c, tg); a.Held || a.Failed {
			t.Errorf("refuted: %+v", a)
		}
		<-time.After(31 * time.Second)
		if a := check(t, c, tg); !a.Held {
			t.Errorf("later: %+v", a)
		}
	})
}

// A refutation during a check outlives the check's answer, because that answer is older.
func TestARefutationOutlivesACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{http.StatusOK, http.StatusBadGateway} {
			c, err := New(Options{Client: &http.Client{Transport: &answers{status: func(string) int { return status }}}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			tg := Target{Key: Key{Origin: "o", Kind: oci.KindBlob, Ref: "layer"}, URL: "https://o/layer", Candidate: "o"}
			var told Answer
			c.Recheck(netip.Prefix{}, tg, func(a Answer) { told = a })
			synctest.Wait() // the check is running
			c.Refute(tg.Key)
			<-time.After(time.Second)
			synctest.Wait() // told is set
			if a, known := c.Lookup(tg.Key); !known || a.Held || a.Failed || told != a {
				t.Errorf("after %d: %+v, known %v; told %+v", status, a, known, told)
			}
		}
	})
}
