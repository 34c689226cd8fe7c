package proxy

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/existence"
	"ociproxy/internal/health"
	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
	"ociproxy/internal/route"
	"ociproxy/internal/wait"
)

// sampleRedirects is the interval between checks of redirects that rest on an inventory: five checks a second.
const sampleRedirects = 200 * time.Millisecond

// readyWithin is how long readiness waits for inventories that were never read.
const readyWithin = 10 * time.Second

// inventoryDir returns the directory of the last good inventories and the union table; "" keeps them in memory.
func inventoryDir(cfg *config.Config) string {
	if cfg.Ranges.Cache == "" {
		return ""
	}
	return filepath.Join(cfg.Ranges.Cache, "inventory")
}

// inventories returns the stores of the configuration that publish an inventory. Their indices are those of the
// candidates.
func (w *wiring) inventories() []inventory.Store {
	var out []inventory.Store
	for i := range w.cfg.Stores {
		st := &w.cfg.Stores[i]
		if st.Inventory.Enabled() && (st.State == config.Active || w.watched(st.Name)) {
			out = append(out, inventory.Store{
				ID: st.Name, URL: st.Inventory.URL, Index: w.index[st.Name],
				Refresh: st.Inventory.Refresh, StaleAfter: st.Inventory.StaleAfter,
			})
		}
	}
	return out
}

// listed writes into d what the inventories say of q: which stores hold it, and which candidates remain to be asked.
func (w *wiring) listed(q *request, d *decision) {
	if q.Kind != oci.KindBlob || !q.Digest.InStores() {
		return
	}
	view := w.live.View()
	believed := view.Believed
	if believed.Empty() {
		return
	}
	demoted := w.doubts.Demoted()
	believed.AndNot(&demoted)
	d.state.Unknown.AndNot(&believed)
	if e, ok := view.Table.Lookup(q.Digest); ok {
		d.state.Holds = believed
		d.state.Holds.And(&e.Stores)
		d.listing = listing{stores: d.state.Holds, size: e.Size}
		d.told = !d.state.Holds.Empty()
		if e.Size > oci.MaxBlob {
			d.listing.size = -1
		}
	}
}

// sampleOf returns an object that candidate i holds: from its inventory, else one that was seen there.
func (w *wiring) sampleOf(i int, maxSize int64) (health.Object, bool) {
	view := w.live.View()
	if !view.Believed.Has(i) {
		return w.samples[i].pick(maxSize)
	}
	d, e, ok := view.Table.Sample(rand.Uint64(), func(e inventory.Entry) bool {
		return e.Stores.Has(i) && (maxSize == 0 || e.Size >= 0 && e.Size <= maxSize)
	})
	if !ok {
		return w.samples[i].pick(maxSize)
	}
	req := oci.Request{Kind: oci.KindBlob, Digest: d}
	return health.Object{URL: w.snapshot.Candidates[i].Ask(req), Digest: d, Size: e.Size}, true
}

// afterwards limits checks of redirects to a few a second. A check asks whether the store really has what its
// inventory lists, because a proxy never sees a client's 404.
type afterwards struct{ token atomic.Bool }

// take reports whether to check this redirect.
func (t *afterwards) take() bool { return t.token.Load() && t.token.CompareAndSwap(true, false) }

// checkAfterwards checks a redirect that was decided by an inventory.
func (s *Server) checkAfterwards(w *wiring, q *request, d *decision) {
	i := d.Candidate
	if i == route.NoCandidate || q.Kind != oci.KindBlob || !w.live.View().Believed.Has(i) || !s.afterwards.take() {
		return
	}
	digest := q.Digest
	s.checker.Recheck(netip.Prefix{}, w.askListed(q, d, i), func(known existence.Answer) { s.learn(w, i, digest, known) })
}

// askListed returns the question whether candidate i holds what its inventory lists. The size must match: an object of
// another size is not the blob.
func (w *wiring) askListed(q *request, d *decision, i int) existence.Target {
	t := w.target(i, &q.Request)
	if d.listing.stores.Has(i) {
		t.Size = max(0, d.listing.size)
	}
	return t
}

// learn compares a store's answer with what its inventory lists.
func (s *Server) learn(w *wiring, i int, d oci.Digest, known existence.Answer) {
	if known.Failed || !w.live.View().Believed.Has(i) {
		return
	}
	if w.doubts.Observe(i, d, known.Held) {
		s.log.Error("a store lacks what its inventory lists: asking it by HEAD until the inventory changes",
			"store", w.snapshot.Candidates[i].Name, "digest", d.String())
	}
}

// watchInventories hands out the tokens of afterwards. It believes a doubted inventory again when its mirror has
// rewritten it.
func (s *Server) watchInventories(ctx context.Context) {
	for range wait.Every(ctx, sampleRedirects) {
		s.afterwards.token.Store(true)
		s.repeated.token.Store(true)
		s.noteRewritten(s.wiring.Load())
	}
}

// noteRewritten ends the doubts about stores whose inventory was rewritten since.
func (s *Server) noteRewritten(w *wiring) {
	for _, st := range s.inventories.Statuses() {
		if i, ok := w.index[st.Store]; ok && w.doubts.Rewritten(i, st.Content) {
			s.log.Info("a doubted inventory was rewritten and is believed again", "store", st.Store)
		}
	}
}

// ready reports whether this instance wants traffic. It does not while it drains. At the start it waits a limited
// time for the inventories.
func (s *Server) ready() bool {
	if s.draining.Load() {
		return false
	}
	if s.loaded.Load() {
		return true
	}
	if time.Since(s.started) < readyWithin {
		for _, st := range s.inventories.Statuses() {
			if st.State == inventory.Loading {
				return false
			}
		}
	}
	s.loaded.Store(true)
	return true
}
