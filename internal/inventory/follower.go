package inventory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"ociproxy/internal/set"
	"ociproxy/internal/wait"
)

// Follower reads the inventories of all stores and keeps one table of them up to date. It is safe for concurrent use.
//
//	f := inventory.NewFollower(inventory.Options{Dir: dir})
//	live, err := f.Follow(stores) // again after each reload; f keeps what it knows about stores that stay
//	go f.Run(ctx)
//	entry, ok := live.View().Table.Lookup(digest)
type Follower struct {
	opt      Options
	log      *slog.Logger
	segments *Segments
	memory   chan struct{} // holds one element while a store has segments in memory, from fetching to building
	waiting  atomic.Int32  // stores that wait for memory
	news     chan struct{} // Follow was called

	building sync.Mutex // held while the table or the list of stores changes
	table    *Table

	mu     sync.Mutex // guards the fields below; taken after building
	stores []*followed
	live   *Live
}

// followed is one store of the list.
type followed struct {
	Store
	reader *Reader
	loaded bool     // read from disk, or that was tried
	full   *refusal // guarded by building

	// What was logged last.
	state State
	fault string
}

// status returns the reader's status, with the state of what is in the table, because requests are answered from the
// table.
func (s *followed) status() Status {
	st := s.reader.Status()
	st.State = s.reader.builtState()
	return st
}

// NewFollower makes a follower without stores. It uses neither network nor disk.
func NewFollower(opt Options) *Follower {
	log := opt.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	none := &Table{}
	return &Follower{
		opt: opt, log: log, segments: NewSegments(opt.Dir, opt.MaxCacheBytes, opt.Client),
		memory: make(chan struct{}, 1), news: make(chan struct{}, 1), table: none, live: newLive(&View{Table: none}),
	}
}

// Follow replaces the list of stores. A store of the same id and URL keeps its inventory, under its new index. The
// others are not believed until [Follower.Load], [Follower.Refresh] or [Follower.Run] has read them.
func (f *Follower) Follow(stores []Store) (*Live, error) {
	if err := checkStores(stores); err != nil {
		return nil, err
	}
	f.building.Lock()
	defer f.building.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	// Nothing changes before the table is built: after an error, the old list stays complete.
	keep := keepNone()
	next := make([]*followed, len(stores))
	for i, s := range stores {
		at := slices.IndexFunc(f.stores, func(old *followed) bool { return old.ID == s.ID && old.URL == s.URL })
		if at < 0 {
			next[i] = &followed{Store: s, reader: NewReader(s, f.segments, f.opt)}
			continue
		}
		next[i] = f.stores[at]
		keep[next[i].Index] = int16(s.Index)
	}
	if moves(f.stores, &keep) {
		t, err := build(buildInput{old: f.table, keep: keep, dir: f.tableDir()})
		if err != nil {
			return nil, err
		}
		f.table = t
	}
	for i, s := range stores {
		next[i].reader.configure(s)
		next[i].Index = s.Index // only the index can differ here; others read id and URL without a lock
	}
	f.stores = next
	f.live = newLive(f.view())
	select {
	case f.news <- struct{}{}:
	default:
	}
	return f.live, nil
}

// moves reports whether any of the stores goes or gets another index.
func moves(stores []*followed, keep *[set.Max]int16) bool {
	return slices.ContainsFunc(stores, func(s *followed) bool { return keep[s.Index] != int16(s.Index) })
}

func checkStores(stores []Store) error {
	ids, indices := map[string]bool{}, map[int]bool{}
	for _, s := range stores {
		switch {
		case s.ID == "" || s.URL == "":
			return fmt.Errorf("inventory %q of store %q: both are needed", s.URL, s.ID)
		case s.Index < 0 || s.Index >= set.Max:
			return fmt.Errorf("store %q: index %d is not in 0 to %d", s.ID, s.Index, set.Max-1)
		case ids[s.ID] || indices[s.Index]:
			return fmt.Errorf("store %q, index %d: twice", s.ID, s.Index)
		}
		ids[s.ID], indices[s.Index] = true, true
	}
	return nil
}

// Load reads the last good inventories of stores that were not read yet from disk. It logs what it cannot read there;
// the next refresh reads it.
func (f *Follower) Load() {
	var wg sync.WaitGroup
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, s := range f.list() {
		if f.opt.Dir == "" || !f.firstLoad(s) {
			continue
		}
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			if err := s.reader.Load(); err != nil {
				f.log.Info("no last good inventory on disk", "store", s.ID, "error", err.Error())
			}
		})
	}
	wg.Wait()
	if err := f.update(); err != nil {
		f.log.Warn("inventories on disk cannot be used", "error", err.Error())
	}
}

func (f *Follower) firstLoad(s *followed) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := !s.loaded
	s.loaded = true
	return first
}

// Refresh makes one pass over all stores. The error joins those of all stores; the last good inventories stay.
func (f *Follower) Refresh(ctx context.Context) error {
	f.Load()
	list := f.list()
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, s := range list {
		wg.Go(func() { errs[i] = f.refresh(ctx, s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Run refreshes until ctx is done.
func (f *Follower) Run(ctx context.Context) {
	running := map[*followed]context.CancelFunc{}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() {
		for _, cancel := range running {
			cancel()
		}
	}()
	for {
		f.Load()
		list := f.list()
		for s, cancel := range running {
			if !slices.Contains(list, s) {
				cancel()
				delete(running, s)
			}
		}
		for _, s := range list {
			if running[s] == nil {
				own, cancel := context.WithCancel(ctx)
				running[s] = cancel
				wg.Go(func() { f.loop(own, s) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-f.news:
		}
	}
}

func (f *Follower) loop(ctx context.Context, s *followed) {
	for {
		_ = f.refresh(ctx, s) // logged, and in the status
		if wait.For(ctx, wait.About(s.reader.interval())) != nil {
			return
		}
	}
}

// refresh brings one store up to date, and the table with it.
func (f *Follower) refresh(ctx context.Context, s *followed) error {
	s.reader.turn.Lock()
	defer s.reader.turn.Unlock()
	head, err := s.reader.ask(ctx)
	if ctx.Err() != nil {
		return ctx.Err() // we gave up: nothing is known about the store
	}
	if head != nil {
		held := f.segments.hold(f.takeMemory)
		defer held.Release()
		_, err = s.reader.take(ctx, head, held)
	}
	if err != nil {
		f.clean() // segments of a failed refresh may be left
	}
	return errors.Join(err, f.update())
}

// keepInMemory is how many bytes of segments may stay in memory while another store waits, which may list the same
// ones.
const keepInMemory = 64 << 20

// takeMemory waits until no other store has segments in memory.
func (f *Follower) takeMemory(ctx context.Context) (give func(), err error) {
	f.waiting.Add(1)
	defer func() {
		if f.waiting.Add(-1) == 0 && err != nil {
			f.segments.DropMemory() // it was kept only for this store
		}
	}()
	select {
	case f.memory <- struct{}{}:
		return f.giveMemory, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *Follower) giveMemory() {
	if f.waiting.Load() == 0 || f.segments.inMemory() > keepInMemory {
		f.segments.DropMemory()
	}
	<-f.memory
}

// Statuses describes all stores, in the order of the list.
func (f *Follower) Statuses() []Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.live.View().Table
	list := make([]Status, len(f.stores))
	for i, s := range f.stores {
		list[i] = s.status()
		list[i].Held = t.Held(s.Index)
	}
	return list
}

func (f *Follower) list() []*followed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.stores)
}

func (f *Follower) tableDir() string {
	if f.opt.Dir == "" {
		return ""
	}
	return filepath.Join(f.opt.Dir, "table")
}
