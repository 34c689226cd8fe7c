package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ociproxy/internal/pace"
	"ociproxy/internal/wait"
)

// hang is a transport whose answers, or their bodies, do not arrive.
type hang struct {
	world    http.RoundTripper
	header   bool
	takes    time.Duration // for each byte of a request's body
	pause    time.Duration // before each byte of a body
	sections int
}

func (h *hang) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Path == "/v2/" {
		return h.world.RoundTrip(req)
	}
	for b := make([]byte, 1); h.takes > 0; {
		if _, err := req.Body.Read(b); err != nil {
			break
		}
		if err := wait.For(req.Context(), h.takes); err != nil {
			return nil, err
		}
	}
	if h.header {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: int64(h.sections),
		Body: io.NopCloser(&drip{req.Context(), h.pause, h.sections}), Request: req}, nil
}

type drip struct {
	ctx   context.Context
	pause time.Duration
	left  int
}

func (d *drip) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	if err := wait.For(d.ctx, d.pause); err != nil {
		return 0, d.ctx.Err()
	}
	d.left--
	p[0] = ' '
	return 1, nil
}

func openHang(t *testing.T, h *hang) *Registry {
	t.Helper()
	r, _ := openWorld(t, silent, func(o *Options) { h.world, o.Transport, o.Timeout = o.Transport, h, 10*time.Second })
	return r
}

// The client gives up when nothing moves.
func TestTimeouts(t *testing.T) {
	t.Run("no header", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := openHang(t, &hang{header: true})
			start := time.Now()
			if _, err := r.List(t.Context(), "app"); !errors.Is(err, ErrStalled) {
				t.Error(err)
			}
			if d := time.Since(start); d < 50*time.Second || d > 80*time.Second {
				t.Errorf("given up after %v: five tries of ten seconds", d)
			}
		})
	})
	t.Run("no body", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := openHang(t, &hang{pause: time.Hour, sections: 10})
			start := time.Now()
			if _, err := r.List(t.Context(), "app"); !errors.Is(err, ErrStalled) {
				t.Error(err)
			}
			if d := time.Since(start); d != 10*time.Second {
				t.Errorf("given up after %v", d)
			}
		})
	})
	t.Run("a body in drops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := openHang(t, &hang{pause: 9 * time.Second, sections: 1000})
			start := time.Now()
			if _, err := r.List(t.Context(), "app"); !errors.Is(err, ErrStalled) {
				t.Error(err)
			}
			if d := time.Since(start); d != 10*time.Second {
				t.Errorf("given up after %v", d)
			}
		})
	})
	t.Run("a blob in drops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := openHang(t, &hang{pause: 9 * time.Second, sections: 1000})
			body, _, err := r.OpenBlob(t.Context(), "app", sum("sha256", nil), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			start := time.Now()
			n, err := io.Copy(io.Discard, body)
			if d := time.Since(start); n != 1 || !errors.Is(err, ErrStalled) || !errors.Is(err, pace.ErrSlow) || d != 10*time.Second {
				t.Errorf("%d bytes, %v after %v", n, err, d)
			}
		})
	})
	t.Run("a body that is taken in drops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := openHang(t, &hang{takes: 9 * time.Second})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.scheme+"://"+r.host+"/v2/app/blobs/uploads/1", io.MultiReader(strings.NewReader("123456789")))
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			resp, err := r.own.RoundTrip(req)
			if d := time.Since(start); !errors.Is(err, ErrStalled) || !errors.Is(err, pace.ErrSlow) || d != 10*time.Second {
				t.Errorf("%v, %v after %v", resp, err, d)
			}
		})
	})
	t.Run("a slow reader has all the time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := openHang(t, &hang{pause: time.Second, sections: 5})
			body, _, err := r.OpenBlob(t.Context(), "app", sum("sha256", nil), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			for range 5 {
				if _, err := body.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				if err := wait.For(t.Context(), time.Hour); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}
