package promote

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ociproxy/internal/inventory"

	"ociproxy/test/shop"
)

// observer watches production. When it sees a tag, everything that the tag leads to must be in that registry, in every
// required store, and in the stores' inventories: in those that it read before the tags, because a tag waits until
// proxies know.
type observer struct {
	world *world
	prod  []*api
	repos []repository

	mu       sync.Mutex
	must     []*shop.Shop
	signs    bool                        // production signs: no store has signatures until a mirror copies them
	seen     map[string]string           // digest by registry, repository and tag
	whole    map[string]map[string]int64 // blobs by registry, repository and digest
	readers  map[*shop.Shop]*inventory.Reader
	problems []string
	rounds   int
	unripe   int // tags whose inventories were read too early to judge
	longest  time.Duration
}

// repository is a repository of production.
type repository struct {
	prod int
	name string
}

// observe begins to watch. At its end the test fails if the observer saw something wrong. must are the stores that must
// have everything.
func (w *world) observe(t testing.TB, must ...*shop.Shop) *observer {
	t.Helper()
	if must == nil {
		must = w.shops
	}
	o := &observer{world: w, must: must, seen: map[string]string{}, whole: map[string]map[string]int64{}, readers: map[*shop.Shop]*inventory.Reader{}}
	for _, r := range w.prod {
		o.prod = append(o.prod, newAPI(r.Addr))
	}
	known := map[repository]bool{}
	for _, e := range w.entries(nil) {
		for _, d := range e.project.to {
			if r := (repository{d.prod, w.repository(e, d)}); !known[r] {
				known[r] = true
				o.repos = append(o.repos, r)
			}
		}
	}
	client := &http.Client{Timeout: 20 * time.Second}
	for _, s := range w.shops {
		url := "http://" + s.Server.Backend() + "/" + s.S3Bucket + "/inventory/" // not through the gate
		o.readers[s] = inventory.NewReader(inventory.Store{ID: s.Name, URL: url}, inventory.NewSegments(t.TempDir(), 1<<30, client), inventory.Options{Client: client})
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(150 * time.Millisecond)
		defer tick.Stop()
		for {
			o.round(ctx, false)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		client.CloseIdleConnections()
		o.report(t)
	})
	return o
}

// look makes a round at once. It fails the test if this round or an earlier one found a problem.
func (o *observer) look(t testing.TB) {
	t.Helper()
	o.round(t.Context(), true)
	o.report(t)
}

func (o *observer) report(t testing.TB) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.problems {
		t.Errorf("observer: %s", p)
	}
	o.problems = nil
	t.Logf("observer: %d rounds, the longest %v, %d tags of %d images, %d not told by the inventory before", o.rounds, o.longest.Round(time.Millisecond),
		len(o.seen), len(o.whole), o.unripe)
}

func (o *observer) problem(format string, args ...any) {
	if len(o.problems) < 20 {
		o.problems = append(o.problems, fmt.Sprintf(format, args...))
	}
}

// everyTag: in each round of this number, the observer reads all tags, because a tag that was moved stays moved. It
// reads new tags in every round.
const everyTag = 8

// round reads inventories, then tags, and checks new tags. With all, and in every everyTag-th round, it also checks
// whether a tag was moved.
func (o *observer) round(ctx context.Context, all bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all = all || o.rounds%everyTag == 0
	began := time.Now()
	before := map[*shop.Shop]map[string]int64{}
	for _, s := range o.must {
		before[s] = o.inventory(ctx, s)
	}
	type sight struct {
		repository
		tag, digest string
		at          time.Time // the tag was seen by then
	}
	var news []sight
	for _, r := range o.repos {
		tags, err := o.prod[r.prod].tags(r.name)
		if err != nil {
			o.problem("%s: %v", r.name, err)
			continue
		}
		for _, tag := range tags {
			key := fmt.Sprintf("%d/%s:%s", r.prod, r.name, tag)
			was := o.seen[key]
			if was != "" && !all && !strings.HasPrefix(tag, "sha256-") { // lists about an image may grow
				continue
			}
			digest, err := o.prod[r.prod].digest(r.name, tag)
			if err != nil {
				o.problem("%s:%s: %v", r.name, tag, err)
				continue
			}
			if digest == "" { // the test removed it since the listing
				continue
			}
			if was == digest {
				continue
			}
			if was != "" && !strings.HasPrefix(tag, "sha256-") {
				o.problem("%s moved from %s to %s", key, was, digest)
			}
			o.seen[key] = digest
			news = append(news, sight{r, tag, digest, time.Now()})
		}
	}
	for _, n := range news {
		key := fmt.Sprintf("%d/%s@%s", n.prod, n.name, n.digest)
		blobs := o.whole[key]
		if blobs == nil {
			var err error
			if blobs, err = o.prod[n.prod].closure(n.name, n.digest); err != nil {
				o.problem("%d/%s:%s is visible: %v", n.prod, n.name, n.tag, err)
				continue
			}
			o.whole[key] = blobs
		}
		if o.signs && strings.HasSuffix(n.tag, ".sig") {
			continue
		}
		o.stored(ctx, fmt.Sprintf("%d/%s:%s", n.prod, n.name, n.tag), blobs, before, n.at.Sub(began) < settle)
	}
	o.rounds++
	o.longest = max(o.longest, time.Since(began))
}

// stored checks that the blobs of a visible tag are in all required stores and their inventories. ripe says that the
// inventories were read so shortly before the tag was seen that they must have listed the blobs already.
func (o *observer) stored(ctx context.Context, tag string, blobs map[string]int64, before map[*shop.Shop]map[string]int64, ripe bool) {
	for _, s := range o.must {
		held := before[s]
		if !ripe && !covers(held, blobs) {
			o.unripe++
			held = o.inventory(ctx, s)
		}
		for digest, size := range blobs {
			switch {
			case held[digest] != size:
				o.problem("%s is visible: the inventory of %s says %d bytes of %s, want %d%s", tag, s.Name, held[digest], digest, size, o.now(ctx, s))
			case !s.Holds(digest):
				o.problem("%s is visible: %s does not hold %s", tag, s.Name, digest)
			}
		}
	}
}

// now describes the current head of an inventory.
func (o *observer) now(ctx context.Context, s *shop.Shop) string {
	held := o.inventory(ctx, s)
	if h := o.readers[s].Head(); h != nil {
		return fmt.Sprintf("; %s: generation %d, written %s, %d blobs", time.Now().Format(time.StampMilli), h.Generation, h.WrittenAt.Format(time.StampMilli), len(held))
	}
	return "; there is none"
}

func covers(held, blobs map[string]int64) bool {
	for digest := range maps.Keys(blobs) {
		if _, ok := held[digest]; !ok {
			return false
		}
	}
	return true
}

// inventory returns what a store's inventory lists: nothing while there is none.
func (o *observer) inventory(ctx context.Context, s *shop.Shop) map[string]int64 {
	held := map[string]int64{}
	r := o.readers[s]
	if _, err := r.Refresh(ctx); err != nil && ctx.Err() == nil && r.Head() != nil {
		o.problem("inventory of %s: %v", s.Name, err)
	}
	if r.Head() == nil {
		return held
	}
	for rec, err := range r.Records() {
		if err != nil {
			o.problem("inventory of %s: %v", s.Name, err)
			return held
		}
		if rec.Kind == inventory.Blob {
			held[rec.Digest.String()] = rec.Size
		} else {
			delete(held, rec.Digest.String())
		}
	}
	return held
}
