package inventory

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// drip sends a body piece by piece, with a pause before each.
type drip struct {
	ctx   context.Context
	body  *bytes.Reader
	piece int
	pause time.Duration
}

func (d *drip) Read(b []byte) (int, error) {
	select {
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	case <-time.After(d.pause):
		return d.body.Read(b[:min(len(b), d.piece)])
	}
}

type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// The download from a store that drips or is silent is given up within half a minute. The download from a slow store is
// not.
func TestPace(t *testing.T) {
	var batch []Record
	for i := range 80_000 {
		batch = append(batch, Record{sha256Of(i), 1, Blob})
	}
	all := shelf{}
	ref := all.add(t, batch...)[0] // 3 MB
	for name, tt := range map[string]struct {
		piece  int
		pause  time.Duration
		silent bool
		want   error
	}{
		"fast":   {1 << 20, time.Millisecond, false, nil},
		"slow":   {8 << 10, 100 * time.Millisecond, false, nil}, // 80 KiB a second
		"drips":  {16 << 10, time.Second, false, errSlow},
		"stalls": {16 << 10, time.Hour, false, errSlow},
		"silent": {0, 0, true, errSlow},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &http.Client{Transport: answers(func(r *http.Request) (*http.Response, error) {
					if tt.silent {
						<-r.Context().Done()
						return nil, r.Context().Err()
					}
					body := &drip{r.Context(), bytes.NewReader(all[ref.SHA256]), tt.piece, tt.pause}
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: ref.Bytes, Request: r}, nil
				})}
				begin := time.Now()
				err := download(t.Context(), site{client, "http://a/"}, ref, io.Discard)
				if !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if took := time.Since(begin); tt.want != nil && took != least.Within {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
