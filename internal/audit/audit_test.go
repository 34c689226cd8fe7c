package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
	"ociproxy/internal/store"
	"ociproxy/internal/walk"
)

// shelf is a store of files, with its inventory and its public server.
type shelf struct {
	t      *testing.T
	dir    string
	bucket store.Bucket
	held   map[oci.Digest]int64 // the inventory
	public *httptest.Server

	mu     sync.Mutex
	hidden map[string]face // by digest
	lies   func(store.Bucket) store.Bucket
}

// face is what anonymous clients get for an object until it is written again.
type face struct {
	status   int
	encoding string
	since    time.Time // when the object was written; zero: at any time
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{t: t, dir: t.TempDir(), held: map[oci.Digest]int64{}, hidden: map[string]face{}}
	b, err := store.Open(t.Context(), "file://"+s.dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.bucket = b
	files := http.FileServer(http.Dir(s.dir))
	s.public = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		f, ok := s.hidden[filepath.Base(r.URL.Path)]
		s.mu.Unlock()
		info, err := os.Stat(filepath.Join(s.dir, r.URL.Path))
		if ok && (f.since.IsZero() || err == nil && info.ModTime().Equal(f.since)) {
			if f.status != 0 {
				w.WriteHeader(f.status)
				return
			}
			w.Header().Set("Content-Encoding", f.encoding)
			w.Header().Set("Content-Length", fmt.Sprint(info.Size()))
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.public.Close)
	return s
}

func (s *shelf) store(name string) Store {
	b := s.bucket
	if s.lies != nil {
		b = s.lies(b)
	}
	return Store{Name: name, Bucket: b, URL: s.public.URL + "/" + store.BlobPrefix + "{digest}",
		Records: func(context.Context) iter.Seq2[inventory.Record, error] { return records(s.held) }}
}

// put puts an object without any check, and lists it in the inventory.
func (s *shelf) put(d oci.Digest, content string) {
	s.t.Helper()
	s.object(d, content)
	s.held[d] = int64(len(content))
}

func (s *shelf) object(d oci.Digest, content string) {
	s.t.Helper()
	if _, err := s.bucket.Put(s.t.Context(), store.BlobKey(d), store.Bytes([]byte(content)), store.BlobHeader, ""); err != nil {
		s.t.Fatal(err)
	}
}

// hide changes what anonymous clients get for an object until it is written again.
func (s *shelf) hide(d oci.Digest, f face) {
	s.t.Helper()
	info, err := os.Stat(filepath.Join(s.dir, store.BlobKey(d)))
	if err != nil {
		s.t.Fatal(err)
	}
	f.since = info.ModTime()
	s.hidden[d.String()] = f
}

// rot changes an object on the disk, without the bucket.
func (s *shelf) rot(d oci.Digest, content string) {
	s.t.Helper()
	file := filepath.Join(s.dir, store.BlobKey(d))
	if _, err := os.Stat(file); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func digest(content string) oci.Digest {
	sum := sha256.Sum256([]byte(content))
	d, err := oci.ParseDigest("sha256:" + hex.EncodeToString(sum[:]))
	if err != nil {
		panic(err)
	}
	return d
}

// images returns a source with one image for each content.
func images(contents ...string) iter.Seq2[walk.Image, error] {
	return func(yield func(walk.Image, error) bool) {
		for _, c := range contents {
			img := walk.Image{Repository: "library/" + c[:1], Digest: digest("manifest of " + c), Blobs: []walk.Blob{{Digest: digest(c), Size: int64(len(c))}}}
			if !yield(img, nil) {
				return
			}
		}
	}
}

// classes maps the digests (or keys) of a store's findings to their classes.
func classes(r *Report, store string) map[string]Class {
	out := map[string]Class{}
	for _, f := range r.Findings {
		if f.Store == store {
			out[f.Digest+f.Key] = f.Class
		}
	}
	return out
}

// Contents that stores have in different states.
var (
	fine, lost, missing, rotten, cut, private, unlisted, extra, gone, decayed = "fine content", "lost content", "missing content", "rotten content",
		"cut content", "private content", "unlisted content", "extra content", "gone content", "decayed content"
)

// trouble returns a store with one object of each class.
func trouble(t *testing.T) *shelf {
	t.Helper()
	s := newShelf(t)
	for _, c := range []string{fine, rotten, cut, private, decayed} {
		s.put(digest(c), c)
	}
	s.rot(digest(rotten), "ROTTEN content")
	s.rot(digest(cut), "cut")
	s.rot(digest(decayed), "DECAYED content")
	s.held[digest(lost)] = int64(len(lost))
	s.held[digest(gone)] = int64(len(gone))
	s.object(digest(unlisted), unlisted)
	s.put(digest(extra), extra)
	s.hide(digest(private), face{status: http.StatusForbidden})
	if err := os.WriteFile(filepath.Join(s.dir, store.BlobPrefix, "README"), []byte("by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

var needed = []string{fine, lost, missing, rotten, cut, private, unlisted}

// TestClasses tests what each way of looking finds.
func TestClasses(t *testing.T) {
	d := func(c string) string { return digest(c).String() }
	tests := []struct {
		name string
		opt  Options
		want map[string]Class
		code int
	}{
		{"inventory", Options{From: Inventory}, map[string]Class{d(missing): Missing, d(unlisted): Missing, d(extra): Unexpected, d(gone): Unexpected, d(decayed): Unexpected},
			CodeMissing | CodeUnexpected},
		{"listing", Options{From: Listing}, map[string]Class{d(lost): Lost, d(missing): Missing, d(cut): Short, d(unlisted): Unlisted, d(extra): Unexpected, d(gone): Lost,
			d(decayed): Unexpected, store.BlobPrefix + "README": Unexpected}, CodeMissing | CodeShort | CodeUnexpected},
		{"head", Options{From: Head}, map[string]Class{d(lost): Lost, d(missing): Missing, d(cut): Short, d(private): Unreadable, d(unlisted): Unlisted, d(extra): Unexpected,
			d(gone): Unexpected, d(decayed): Unexpected}, CodeMissing | CodeShort | CodeUnreadable | CodeUnexpected},
		{"deep", Options{From: Listing, Deep: true}, map[string]Class{d(lost): Lost, d(missing): Missing, d(rotten): Corrupt, d(cut): Short, d(private): Unreadable,
			d(unlisted): Unlisted, d(extra): Unexpected, d(gone): Lost, d(decayed): Corrupt, store.BlobPrefix + "README": Unexpected},
			CodeMissing | CodeCorrupt | CodeShort | CodeUnreadable | CodeUnexpected},
		{"deep, by inventory", Options{From: Inventory, Deep: true}, map[string]Class{d(lost): Lost, d(missing): Missing, d(rotten): Corrupt, d(cut): Short, d(private): Unreadable,
			d(unlisted): Unlisted, d(extra): Unexpected, d(gone): Lost, d(decayed): Corrupt},
			CodeMissing | CodeCorrupt | CodeShort | CodeUnreadable | CodeUnexpected},
		{"of some repositories", Options{From: Inventory, Partial: true}, map[string]Class{d(missing): Missing, d(unlisted): Missing}, CodeMissing},
		{"kept", Options{From: Inventory, Kept: []oci.Digest{digest(extra)}}, map[string]Class{d(missing): Missing, d(unlisted): Missing, d(gone): Unexpected, d(decayed): Unexpected},
			CodeMissing | CodeUnexpected},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := Run(t.Context(), images(needed...), []Store{trouble(t).store("s")}, tt.opt)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, classes(a.Report, "s")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if a.Report.ExitCode != tt.code {
				t.Errorf("exit code %d, want %d", a.Report.ExitCode, tt.code)
			}
			broken := 0
			for _, f := range a.Report.Findings {
				if f.Class.breaks() && f.Image != "" {
					broken++
				}
			}
			if s := a.Report.Stores[0]; s.Broken != broken || s.Whole != len(needed)-broken {
				t.Errorf("%d images broken and %d whole, want %d of %d", s.Broken, s.Whole, broken, len(needed))
			}
		})
	}
}

// bookkeeper is a ledger over the shelves' maps. It can fail, and it records the order of events.
type bookkeeper struct {
	shelves []*shelf
	mu      sync.Mutex
	fail    error
	events  []string
}

func (b *bookkeeper) Remove(_ context.Context, i int, ds ...oci.Digest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	for _, d := range ds {
		delete(b.shelves[i].held, d)
		b.events = append(b.events, "remove "+d.String())
	}
	return nil
}

func (b *bookkeeper) Add(_ context.Context, i int, recs ...inventory.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range recs {
		if body, _, err := b.shelves[i].bucket.Get(context.WithoutCancel(b.shelves[i].t.Context()), store.BlobKey(r.Digest), 0, -1); err != nil {
			return fmt.Errorf("listed before it is there: %w", err)
		} else if err := body.Close(); err != nil {
			return err
		}
		b.shelves[i].held[r.Digest] = r.Size
		b.events = append(b.events, "add "+r.Digest.String())
	}
	return nil
}

func (b *bookkeeper) Flush(context.Context) []error { return make([]error, len(b.shelves)) }

// TestRepair: everything that can be repaired is repaired, from the source or from the other store. A second audit
// finds only what a repair leaves alone.
func TestRepair(t *testing.T) {
	for _, have := range []string{"source", "other store"} {
		t.Run(have, func(t *testing.T) {
			bad, good := trouble(t), newShelf(t)
			for _, c := range needed {
				good.put(digest(c), c)
			}
			shelves := []*shelf{bad, good}
			stores := []Store{bad.store("bad"), good.store("good")}
			books := &bookkeeper{shelves: shelves}
			opt := Options{From: Listing, Deep: true}
			reads := 0
			repair := RepairOptions{Ledger: books, Dir: t.TempDir(), Parallel: 1,
				Source: func(_ context.Context, repository string, d oci.Digest, off int64) (io.ReadCloser, error) {
					reads++
					for _, c := range needed {
						if digest(c) == d && have == "source" {
							if off == 0 {
								return io.NopCloser(io.MultiReader(strings.NewReader(c[:3]), &breaking{})), nil
							}
							return io.NopCloser(strings.NewReader(c[off:])), nil
						}
					}
					return nil, errors.New("no such blob")
				}}
			before, err := Run(t.Context(), images(needed...), stores, opt)
			if err != nil {
				t.Fatal(err)
			}
			dry := repair
			dry.DryRun = true
			if err := before.Repair(t.Context(), dry, &Progress{}); err != nil {
				t.Fatal(err)
			}
			planned := before.Report.Repair.Planned.Blobs
			if len(books.events) > 0 || reads > 0 || planned != 8 { // six repaired; gone and decayed are withdrawn
				t.Fatalf("a dry run planned %d and did %q", planned, books.events)
			}
			if err := before.Repair(t.Context(), repair, &Progress{}); err != nil {
				t.Fatal(err)
			}
			if got := before.Report.Repair; got.Repaired.Blobs != planned || got.Failed != 0 || got.Written.Blobs != 5 {
				t.Errorf("repair: %+v", got)
			}
			if want := CodeUnexpected; before.Report.ExitCode != want {
				t.Errorf("exit code %d after the repair, want %d", before.Report.ExitCode, want)
			}
			after, err := Run(t.Context(), images(needed...), stores, opt)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]Class{digest(extra).String(): Unexpected, digest(decayed).String(): Unexpected, store.BlobPrefix + "README": Unexpected}
			if diff := cmp.Diff(want, classes(after.Report, "bad")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(map[string]Class{}, classes(after.Report, "good")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// breaking is a body whose connection breaks.
type breaking struct{}

func (breaking) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestRepairNowhere: a blob that is complete nowhere stays out of the inventory, and is reported.
func TestRepairNowhere(t *testing.T) {
	s := newShelf(t)
	s.put(digest(rotten), rotten)
	s.rot(digest(rotten), "ROTTEN content")
	books := &bookkeeper{shelves: []*shelf{s}}
	a, err := Run(t.Context(), images(rotten), []Store{s.store("s")}, Options{Deep: true})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Repair(t.Context(), RepairOptions{Ledger: books, Dir: t.TempDir(),
		Source: func(context.Context, string, oci.Digest, int64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("worse content.")), nil
		}}, &Progress{})
	if err != nil {
		t.Fatal(err)
	}
	if _, listed := s.held[digest(rotten)]; listed {
		t.Error("the inventory still lists it")
	}
	if a.Report.ExitCode != CodeCorrupt|CodeUnknown || a.Report.Repair.Failed != 1 || !strings.Contains(a.Report.Repair.Errors[0], errDigest.Error()) {
		t.Errorf("exit code %d, repair %+v", a.Report.ExitCode, a.Report.Repair)
	}
}

// TestStoreDown: a store that cannot be checked is reported beside the others. A store whose inventory cannot be
// written is not touched.
func TestStoreDown(t *testing.T) {
	s := trouble(t)
	down := Store{Name: "down", Err: errors.New("no route to host")}
	a, err := Run(t.Context(), images(needed...), []Store{down, s.store("s")}, Options{From: Listing})
	if err != nil {
		t.Fatal(err)
	}
	if a.Report.Stores[0].Error == "" || a.Report.Stores[0].Whole != 0 || a.Report.ExitCode&CodeUnknown == 0 || a.Report.Stores[1].Error != "" {
		t.Errorf("report: %+v", a.Report.Stores)
	}
	books := &bookkeeper{shelves: []*shelf{nil, s}, fail: errors.New("head.json: 503")}
	err = a.Repair(t.Context(), RepairOptions{Ledger: books, Source: func(context.Context, string, oci.Digest, int64) (io.ReadCloser, error) {
		t.Error("the source was read")
		return nil, io.EOF
	}}, &Progress{})
	if err != nil {
		t.Fatal(err)
	}
	if a.Report.Repair.Repaired.Blobs != 0 || len(books.events) > 0 {
		t.Errorf("repair %+v, %v", a.Report.Repair, books.events)
	}
}

// TestSourceFails: an image that cannot be read does not end the audit. No blob is unexpected then.
func TestSourceFails(t *testing.T) {
	s := trouble(t)
	source := func(yield func(walk.Image, error) bool) {
		if !yield(walk.Image{}, errors.New("library/x: 500")) {
			return
		}
		for img, err := range images(fine) {
			if !yield(img, err) {
				return
			}
		}
	}
	a, err := Run(t.Context(), source, []Store{s.store("s")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Report.Findings) > 0 || a.Report.ExitCode != CodeUnknown || !a.Report.Partial || a.Report.Source.Failed != 1 {
		t.Errorf("report: %+v", a.Report)
	}
}

// TestCancelled: Run fails only if the context ends.
func TestCancelled(t *testing.T) {
	s := trouble(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, images(needed...), []Store{s.store("s")}, Options{Deep: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestLimit: the counts are complete although few findings are listed.
func TestLimit(t *testing.T) {
	s := newShelf(t)
	var all []string
	for i := range 50 {
		all = append(all, fmt.Sprintf("content %d", i))
	}
	a, err := Run(t.Context(), images(all...), []Store{s.store("s")}, Options{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Report; len(got.Findings) != 10 || got.Omitted != 40 || got.Stores[0].Found[Missing].Blobs != 50 || got.Stores[0].Broken != 50 {
		t.Errorf("%d findings, %d omitted, %+v", len(got.Findings), got.Omitted, got.Stores[0])
	}
}

// TestPublicHTTP2: requests as an anonymous client use HTTP/2. They once used HTTP/1.1, with one connection for each
// request in progress.
func TestPublicHTTP2(t *testing.T) {
	var proto atomic.Value
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		proto.Store(r.Proto)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(outbound.CAVariable, ca)
	client := store.PublicClient(1)
	defer client.CloseIdleConnections()
	public := store.Public{URL: s.URL + "/{digest}", Client: client}
	if err := public.Look(t.Context(), digest("any"), 5); err != nil || proto.Load() != "HTTP/2.0" {
		t.Errorf("asked over %v: %v", proto.Load(), err)
	}
}

// If a request as an anonymous client fails, the error says what the operator has to do.
func TestPublicExplains(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	client := store.PublicClient(1)
	defer client.CloseIdleConnections()
	public := store.Public{URL: s.URL + "/{digest}", Client: client}
	if err := public.Look(t.Context(), digest("any"), 5); err == nil || !strings.Contains(err.Error(), outbound.CAVariable) {
		t.Errorf("%v: want what is to be done", err)
	}
}
