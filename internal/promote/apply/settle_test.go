package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/inventory"
	"ociproxy/internal/lease"
	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// TestSettle: the tags of all images come after the stores' inventories, by the settle time. If stores had everything
// already, tags come at once.
func TestSettle(t *testing.T) {
	w, tree := release(t)
	settle := 1500 * time.Millisecond
	usual, begun := usual(t), time.Now()
	var first time.Duration
	w.faults(func(_ int, what string) fault {
		if first == 0 && strings.HasSuffix(what, "/manifests/v1") {
			first = time.Since(begun)
		}
		return fine
	})
	w.must(w.plan(tree), Done, func(o *Options) { o.Settle = &settle })
	if first < settle {
		t.Errorf("the first tag was set after %s", first)
	}
	if took := time.Since(begun); took > 3*settle+4*usual { // one image after the other would settle nine times
		t.Errorf("it took %s, and %s without a time to settle", took, usual)
	}
	cfg := w.config()
	cfg.Stores[0].Inventory.Refresh = 7 * time.Minute
	if got := DefaultSettle(cfg); got != 14*time.Minute {
		t.Errorf("default %s", got)
	}
	if got := DefaultSettle(new(config.Config)); got != 0 {
		t.Errorf("default without stores %s", got)
	}
}

// raced is a bucket to whose inventory another writer adds right before it is first read.
type raced struct {
	store.Bucket
	once  sync.Once
	add   func()
	added *atomic.Int64 // when the last blob was added
}

func (l *raced) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Attrs, error) {
	if strings.HasSuffix(key, "/head.json") {
		l.once.Do(func() {
			l.added.Store(time.Now().UnixNano())
			l.add()
		})
	}
	return l.Bucket.Get(ctx, key, off, n)
}

// TestSettleAfterDeath: a run died after it wrote inventories and before it had waited. The next run waits for that.
func TestSettleAfterDeath(t *testing.T) {
	w, tree := release(t)
	w.must(w.plan(tree), Done)
	again := w.again()
	settle := 2 * time.Second
	var added, tagged atomic.Int64
	w.faults(func(_ int, what string) fault {
		if strings.HasSuffix(what, "/manifests/again") {
			tagged.CompareAndSwap(0, time.Now().UnixNano())
		}
		return fine
	})
	dead := lease.New(lease.Options{Prefix: leasePrefix, Name: "default", TTL: time.Minute})
	first, err := store.Open(t.Context(), "file://"+w.stores[0], store.Options{})
	if err == nil {
		err = dead.Take(t.Context(), first)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.must(w.plan(again), Done, func(o *Options) {
		o.Settle, o.TTL = &settle, time.Second
		o.Wrap = func(b store.Bucket) store.Bucket {
			return &raced{Bucket: bucket{b, w}, added: &added, add: w.addSomething}
		}
	})
	// The times of files are coarse, so 100 ms may be missing.
	if waited := time.Duration(tagged.Load() - added.Load()); added.Load() == 0 || waited < settle-100*time.Millisecond {
		t.Errorf("the tag was set %s after the last inventory was added to", waited)
	}
}

// again returns a tree that gives an image of [release], which is in place, one more tag.
func (w *world) again() *manifest.Tree {
	w.t.Helper()
	return w.tree(fmt.Sprintf("- {name: one, dmap: {%q: [v1, again]}}\n", w.hosts[0].has("prod/one:v1")), w.hosts[0].Host+"/prod")
}

// addSomething adds a blob to each inventory, as another writer does.
func (w *world) addSomething() {
	l := w.ledger()
	defer l.Close()
	for i := range w.stores {
		d := oci.Sum("sha256", fmt.Append(nil, time.Now().UnixNano()))
		err := l.Add(context.Background(), i, inventory.Record{Digest: d, Size: 1, Kind: inventory.Blob})
		if err = errors.Join(err, l.FlushStore(context.Background(), i)); err != nil {
			w.t.Error(err)
		}
	}
}

// TestSettleNothing: tags do not wait if the run brought nothing of their images to a store, because proxies have
// nothing to learn. Without stores, they do not wait either.
func TestSettleNothing(t *testing.T) {
	w, tree := release(t)
	w.must(w.plan(tree), Done)
	settle := time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if r, err := w.apply(ctx, w.plan(w.again()), func(o *Options) { o.Settle = &settle }); err != nil || r.Result != Done {
		t.Errorf("with stores: %+v, %v", r, err)
	}

	bare := newWorld(t, 1, 0)
	img := bare.image("st/one", "v1", nil, "a")
	plan := bare.plan(bare.tree(fmt.Sprintf("- {name: one, dmap: {%q: [v1]}}\n", img.Digest), bare.hosts[0].Host+"/prod"))
	if r, err := bare.apply(ctx, plan, func(o *Options) { o.Settle = &settle }); err != nil || r.Result != Done {
		t.Errorf("without stores: %+v, %v", r, err)
	}
}
