package registry

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// uploads is a registry that accepts one blob, with faults.
type uploads struct {
	location string // of an upload; "" means a correct one
	fails    []int  // status of the first PUTs; 0: the connection breaks

	mu    sync.Mutex
	taken []byte
}

func (u *uploads) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case req.Method == http.MethodPost && req.URL.Query().Has("mount"):
		w.Header().Set("Location", "/v2/app/blobs/uploads/mounted?state=m")
		w.WriteHeader(http.StatusAccepted)
	case req.Method == http.MethodPost:
		if u.location == "" {
			w.Header().Set("Location", "/v2/app/blobs/uploads/1?state=x%2By")
		} else {
			w.Header().Set("Location", u.location)
		}
		w.WriteHeader(http.StatusAccepted)
	case req.Method == http.MethodPut:
		body, _ := io.ReadAll(req.Body)
		if len(u.fails) > 0 {
			status := u.fails[0]
			u.fails = u.fails[1:]
			if status == 0 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(status)
			return
		}
		d := sum("sha256", body)
		if req.URL.Query().Get("digest") != d.String() || req.ContentLength != int64(len(body)) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}`)
			return
		}
		u.taken = body
		w.Header().Set("Docker-Content-Digest", d.String())
		w.WriteHeader(http.StatusCreated)
	}
}

// A complete blob is sent, again after failures, and to the registry only.
func TestPushBlob(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 50_000)
	for name, c := range map[string]struct {
		u    *uploads
		err  error
		want []string // requests; nil: do not compare
	}{
		"at once": {u: &uploads{}, want: []string{"GET registry.test/v2/", "POST registry.test/v2/app/blobs/uploads/",
			"PUT registry.test/v2/app/blobs/uploads/1?digest=" + strings.Replace(sum("sha256", content).String(), ":", "%3A", 1) + "&state=x%2By"}},
		"absolute location":   {u: &uploads{location: host + "/v2/app/blobs/uploads/1"}},
		"behind a TLS proxy":  {u: &uploads{location: "http://registry.test/v2/app/blobs/uploads/1"}},
		"second try":          {u: &uploads{fails: []int{500}}},
		"third try":           {u: &uploads{fails: []int{404, 502}}},
		"never":               {u: &uploads{fails: []int{500, 500, 500}}, err: &StatusError{Code: 500}},
		"refused":             {u: &uploads{fails: []int{403}}, err: ErrUnauthorized},
		"many times too much": {u: &uploads{fails: slices.Repeat([]int{429}, maxThrottled)}},
		"always too much":     {u: &uploads{fails: slices.Repeat([]int{429}, maxThrottled+maxPushes)}, err: ErrThrottled},
		"too much, and fails": {u: &uploads{fails: []int{429, 500, 429, 502, 429}}},
		"another host":        {u: &uploads{location: "https://evil.test/v2/app/blobs/uploads/1"}, err: ErrBadAnswer},
		"another port":        {u: &uploads{location: "https://registry.test:1/v2/app/blobs/uploads/1"}, err: ErrBadAnswer},
		"no URL":              {u: &uploads{location: "https://%zz"}, err: ErrBadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := openWorld(t, c.u.ServeHTTP)
				err := r.PushBlob(t.Context(), "app", sum("sha256", content), int64(len(content)), bytes.NewReader(content))
				if want, ok := errors.AsType[*StatusError](c.err); ok {
					if got, ok := errors.AsType[*StatusError](err); !ok || got.Code != want.Code {
						t.Errorf("%v, want %v", err, want)
					}
				} else if !errors.Is(err, c.err) {
					t.Errorf("%v, want %v", err, c.err)
				}
				if err == nil && !bytes.Equal(c.u.taken, content) {
					t.Errorf("%d bytes arrived", len(c.u.taken))
				}
				if c.want != nil {
					if diff := cmp.Diff(c.want, w.paths()); diff != "" {
						t.Errorf("requests (-want +got):\n%s", diff)
					}
				}
				for _, req := range w.seen {
					if req.URL.Host != "registry.test" || req.URL.Scheme != "https" {
						t.Errorf("sent to %s", req.URL)
					}
				}
			})
		})
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("the disk is gone") }

// On real connections: a broken connection, a wrong digest, and an unreadable source.
func TestPushBlobConnections(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 50_000)
	u := &uploads{fails: []int{0}}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	r := open(t, server.URL, func(o *Options) { o.Prefix = "" })
	if err := r.PushBlob(t.Context(), "app", sum("sha256", content), int64(len(content)), bytes.NewReader(content)); err != nil || !bytes.Equal(u.taken, content) {
		t.Errorf("after a broken connection: %v", err)
	}
	err := r.PushBlob(t.Context(), "app", sum("sha256", nil), int64(len(content)), bytes.NewReader(content))
	if refusal, ok := errors.AsType[*StatusError](err); !ok || !refusal.has("DIGEST_INVALID") {
		t.Errorf("wrong bytes: %v", err)
	}
	if err := r.PushBlob(t.Context(), "app", sum("sha256", content), int64(len(content)), broken{}); !errors.Is(err, errSource) {
		t.Errorf("no bytes: %v", err)
	}
	if err := r.PushBlob(t.Context(), "app", sum("sha256", nil), 0, bytes.NewReader(nil)); err != nil {
		t.Errorf("the empty blob: %v", err)
	}
	if len(r.budget.slots) != 0 || len(r.budget.streams) != 0 {
		t.Error("places are still taken")
	}
}

// The upload that a refused mount has started is used once.
func TestMountRefused(t *testing.T) {
	u := &uploads{}
	r, w := openWorld(t, u.ServeHTTP)
	content := []byte("x")
	d := sum("sha256", content)
	if mounted, err := r.Mount(t.Context(), "app", d, "other/app"); mounted || err != nil {
		t.Fatal(mounted, err)
	}
	for range 2 {
		if err := r.PushBlob(t.Context(), "app", d, 1, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	escaped := strings.Replace(d.String(), ":", "%3A", 1)
	want := []string{
		"GET registry.test/v2/", "POST registry.test/v2/app/blobs/uploads/?from=other%2Fapp&mount=" + escaped,
		"PUT registry.test/v2/app/blobs/uploads/mounted?digest=" + escaped + "&state=m",
		"POST registry.test/v2/app/blobs/uploads/", "PUT registry.test/v2/app/blobs/uploads/1?digest=" + escaped + "&state=x%2By",
	}
	if diff := cmp.Diff(want, w.paths()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// The digest that the registry reports is compared. An existing tag is left alone where the registry supports that.
func TestPutManifest(t *testing.T) {
	m, err := ParseManifest([]byte(`{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	taken := func(digest string, status int, there string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet {
				text(there)(w, req)
				return
			}
			if got := req.Header.Get("Content-Type"); got != m.MediaType {
				t.Errorf("content type %q", got)
			}
			w.Header().Set("Docker-Content-Digest", digest)
			w.WriteHeader(status)
		}
	}
	same := m.Digest.String()
	for name, c := range map[string]struct {
		h   http.HandlerFunc
		ref string
		opt PutOptions
		err error
	}{
		"tag":                    {h: taken(same, 201, ""), ref: "v1"},
		"digest":                 {h: taken("", 201, ""), ref: same},
		"another digest":         {h: taken("sha256:"+hexA, 201, ""), ref: "v1", err: ErrDigest},
		"not its digest":         {h: taken(same, 201, ""), ref: "sha256:" + hexA, err: ErrDigest},
		"read back":              {h: taken(same, 201, string(m.Raw)), ref: "v1", opt: PutOptions{ReadBack: true}},
		"read back, another":     {h: taken(same, 201, "{}"), ref: "v1", opt: PutOptions{ReadBack: true}, err: ErrExists},
		"exists":                 {h: taken("", 412, "{}"), ref: "v1", opt: PutOptions{IfNoneMatch: true}, err: ErrExists},
		"exists, it is our own":  {h: taken("", 412, string(m.Raw)), ref: "v1", opt: PutOptions{IfNoneMatch: true}},
		"412 that nobody wanted": {h: taken("", 412, ""), ref: "v1", err: &StatusError{}},
		"refused":                {h: taken("", 403, ""), ref: "v1", err: ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := openWorld(t, c.h)
			got, err := r.PutManifest(t.Context(), "app", c.ref, m, c.opt)
			if _, status := errors.AsType[*StatusError](c.err); status {
				if _, ok := errors.AsType[*StatusError](err); !ok {
					t.Error(err)
				}
			} else if !errors.Is(err, c.err) {
				t.Errorf("%v, want %v", err, c.err)
			}
			if err == nil && got.Digest != m.Digest {
				t.Errorf("%+v", got)
			}
			for _, req := range w.seen {
				if req.Method == http.MethodPut && (req.Header.Get("If-None-Match") == "*") != c.opt.IfNoneMatch {
					t.Errorf("If-None-Match %q", req.Header.Get("If-None-Match"))
				}
			}
		})
	}
}
