package mirror

import "time"

// Progress is where a running pass stands.
type Progress struct {
	Elapsed  time.Duration
	Walked   bool  // all manifests were read: totals grow no more
	Images   int64 // met
	Listed   int64 // by the source, as far as its repositories were listed; an image may have several tags
	Blobs    int64 // brought to a store, each store counted
	OfBlobs  int64
	Read     int64 // bytes from the source
	Problems int64
	Requests int64 // to the source
	Stores   []StoreProgress
}

// StoreProgress is one store's part.
type StoreProgress struct {
	Name      string
	Bytes, Of int64 // brought to it, and known to be lacking
	Waiting   int   // blobs that wait for it or are being sent
	Fault     bool  // it is left alone for the rest of the pass
}

// Bytes adds up the stores.
func (p *Progress) Bytes() (done, of int64) {
	for _, s := range p.Stores {
		done, of = done+s.Bytes, of+s.Of
	}
	return done, of
}

// Progress returns how far the pass has come. It may be called at any time.
func (p *Pass) Progress() Progress {
	f := p.filler
	met, _ := p.walker.Counts()
	requests, _, _ := p.src.Registry.Budget().Stats()
	stats := p.targets.Transfers()
	out := Progress{
		Elapsed: time.Since(p.start), Walked: p.walked.Load(), Images: met, Listed: f.notes.listed.Load(),
		Blobs: f.copied.Load() + f.present.Load(), OfBlobs: f.toCopy.Load() - f.blobsFailed.Load(),
		Read: stats.SourceBytes, Problems: f.count(), Requests: requests - p.before[0],
	}
	for i, s := range p.targets.Stores {
		t := &f.stores[i]
		sp := StoreProgress{Name: s.Name(), Bytes: t.arrived.Load(), Of: t.wanted.Load()}
		if i < len(stats.Targets) {
			e := stats.Targets[i]
			sp.Bytes, sp.Waiting = min(sp.Of, sp.Bytes+e.Sending), e.Queued+e.Running
		}
		t.mu.Lock()
		sp.Fault = t.fault != nil
		t.mu.Unlock()
		out.Stores = append(out.Stores, sp)
	}
	return out
}
