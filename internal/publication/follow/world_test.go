package follow

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publicationtest"
	"ociproxy/internal/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bucket is the way to a publication. It carries requests without a network, so that tests run in virtual time.
type bucket struct {
	mu   sync.Mutex
	over http.Handler // answers; nil: the connection is refused
	next http.Handler
}

func (b *bucket) set(h http.Handler) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = h
}

func (b *bucket) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	h := b.over
	b.mu.Unlock()
	if h == nil {
		return nil, errors.New("connection refused")
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

// world is a publication and the way to it.
type world struct {
	*publicationtest.Site
	bucket
	t *testing.T
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Site: publicationtest.New(t, t.TempDir()), t: t}
	w.next = w.Handler()
	w.over = w.next
	return w
}

// instance is a follower and what a server does with it. A configuration with the word "bad" cannot be used.
type instance struct {
	*Follower
	log  *bytes.Buffer
	stop func()
}

func (w *world) options(dir, fallback string) Options {
	return Options{
		URL: "https://bucket.test/config/", Deployment: publicationtest.Deployment, Ring: "canary",
		Roots: []ed25519.PublicKey{publicationtest.Root.Public()}, MaxContent: 1 << 20, Dir: dir, Fallback: fallback,
		Client: &http.Client{Transport: stripped{&w.bucket}},
	}
}

// stripped removes the path of the publication.
type stripped struct{ next http.RoundTripper }

func (s stripped) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Path = strings.TrimPrefix(r.URL.Path, "/config")
	return s.next.RoundTrip(r)
}

// start starts an instance on the best that there is, and returns nil when there is nothing.
func (w *world) start(dir, fallback string) (*instance, error) {
	w.t.Helper()
	i := &instance{log: new(bytes.Buffer)}
	opt := w.options(dir, fallback)
	opt.Logger = slog.New(slog.NewTextHandler(i.log, nil))
	var err error
	if i.Follower, err = New(opt); err != nil {
		w.t.Fatal(err)
	}
	choice, err := i.Start(w.t.Context())
	if len(choice) == 0 {
		if c := i.Stale(w.t.Context()); c != nil {
			choice = append(choice, c)
		}
	}
	for _, c := range choice {
		i.Offer(c)
		if i.load() == nil {
			break
		}
	}
	if i.used == nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	var done sync.WaitGroup
	done.Go(func() { i.Run(ctx, func(*publication.Overrides) {}) })
	done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-i.News():
				if i.Pending() {
					_ = i.load()
				}
			}
		}
	})
	i.stop = func() { cancel(); done.Wait() }
	return i, err
}

// load does what a server does with the newest configuration.
func (i *instance) load() error {
	c := i.Load()
	var err error
	if bytes.Contains(c.Text, []byte("bad")) {
		err = errors.New("it is bad")
	}
	i.Used(err)
	if err == nil {
		_ = i.Good() // State has the error
	}
	return err
}

// text returns the configuration in use.
func (i *instance) text() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return string(i.used.Text)
}

func (i *instance) fault(word string) publication.Fault {
	return publication.FaultOf(i.State().Faults[word])
}

// rounds lets n rounds pass.
func rounds(n int) {
	pass(time.Duration(n) * (Every + Every/9))
	synctest.Wait()
}

// must starts an instance.
func (w *world) must(dir, fallback string) *instance {
	w.t.Helper()
	i, err := w.start(dir, fallback)
	if i == nil {
		w.t.Fatalf("nothing to start on: %v", err)
	}
	w.t.Cleanup(i.stop)
	return i
}

// pass lets virtual time pass.
func pass(d time.Duration) { _ = wait.For(context.Background(), d) }

func (w *world) file(name string) string { return filepath.Join(w.Dir, filepath.FromSlash(name)) }

// read returns a published document.
func (w *world) read(name string) []byte {
	w.t.Helper()
	text, err := os.ReadFile(w.file(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// write replaces a published document, as somebody may who can write to the bucket.
func (w *world) write(name string, text []byte) {
	w.t.Helper()
	if err := os.WriteFile(w.file(name), text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	now := time.Now() // the virtual clock moves; validators must differ
	if err := os.Chtimes(w.file(name), now, now); err != nil {
		w.t.Fatal(err)
	}
}

// signed replaces a document by another one, with a signature.
func (w *world) signed(name string, by byte, document interface{ Check() error }) {
	w.t.Helper()
	text, err := publication.Sign(w.t.Context(), publicationtest.Signer(by), document)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(name, text)
}
