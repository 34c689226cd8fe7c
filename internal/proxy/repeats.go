package proxy

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"ociproxy/internal/oci"
)

// A client whose download failed asks again: for the same digest from the start, or from where it was cut.
// That is all a proxy that moves no bytes ever learns of a failure, so repeats notices it, in fixed memory
// and at the price of one atomic word a request.

const (
	repeatWindow  = 2 * time.Minute
	repeatSlots   = 1 << 16 // recent (client network, thing) pairs; 512 KiB
	repeatRecords = 1 << 14 // pairs seen more than once
	maxStarts     = 64      // of one pair; a download in more chunks is no longer watched
	// chunkAlign tells a chunk of a parallel download from a resumed one: runtimes cut layers at multiples of
	// a MiB, while a broken connection ends anywhere.
	chunkAlign = 1 << 20
)

// repeatKey is a client network and what it asked for, hashed.
type repeatKey uint64

type repeats struct {
	seed    maphash.Seed
	epoch   time.Time
	slots   [repeatSlots]atomic.Uint64
	records *otter.Cache[repeatKey, *repeatRecord]
}

// A slot is a fingerprint of the key (its upper bits), two flags, and seconds since the epoch (lower 16 bits).
const (
<<<<<<< ours
	slotTime   = 0xffff
	slotBegan  = 1 << 16 // the first request was for the start
	slotFine   = 1 << 17 // the store was checked: repeats are other machines behind one address
	slotSent   = 18      // from this bit on: the candidate of the first request
	slotSentTo = uint64(set.Max-1) << slotSent
	slotKey    = ^(slotTime | slotBegan | slotFine | slotSentTo)
=======
	slotTime  = 0xffff
	slotBegan = 1 << 16 // the first request was for the start
	slotFine  = 1 << 17 // the store was checked: repeats are other machines behind one address
	slotKey   = ^uint64(slotTime | slotBegan | slotFine)
>>>>>>> theirs
)

// repeatRecord is what is known of a pair that came back.
type repeatRecord struct {
	mu     sync.Mutex
	starts []int64
}

func newRepeats() (*repeats, error) {
	records, err := otter.New(&otter.Options[repeatKey, *repeatRecord]{
		MaximumSize: repeatRecords, ExpiryCalculator: otter.ExpiryCreating[repeatKey, *repeatRecord](repeatWindow),
	})
	if err != nil {
		return nil, err
	}
	return &repeats{seed: maphash.MakeSeed(), epoch: time.Now(), records: records}, nil
}

func (r *repeats) close() { r.records.StopAllGoroutines() }

// thing names what a request asks for: a blob by its digest, wherever it is; a manifest or tag by repository too, and
// by method, since many clients ask HEAD before GET.
func (r *repeats) thing(method string, req *oci.Request) uint64 {
	switch req.Kind {
	case oci.KindBlob:
		return maphash.String(r.seed, req.Digest.String())
	case oci.KindTag:
		return (maphash.String(r.seed, req.Tag)*31+maphash.String(r.seed, req.Name))*31 + uint64(len(method))
	default:
		return (maphash.String(r.seed, req.Digest.String())*31+maphash.String(r.seed, req.Name))*31 + uint64(len(method))
	}
}

// seen notes that client asks for a thing from byte start on, and reports whether that looks like another try
// at a download that failed. key names the pair for [repeats.fine].
func (r *repeats) seen(client netip.Prefix, thing uint64, start int64) (key repeatKey, again bool) {
	key = r.key(client, thing)
	now := r.now() // once: reading the clock is most of the work
	word := uint64(key)&slotKey | now
	if start == 0 {
		word |= slotBegan
	}
	slot := &r.slots[uint64(key)%repeatSlots]
	old := slot.Load()
	switch {
	case old == 0 || (old^word)&slotKey != 0 || !recent(old, now):
		slot.Store(word)
		return key, false
	case old&slotFine != 0:
		return key, false // until the window ends: then the store is doubted again
	}
	record, ok := r.records.GetIfPresent(key)
	if !ok {
		record = &repeatRecord{}
		if old&slotBegan != 0 {
			record.starts = append(record.starts, 0)
		}
		if was, set := r.records.SetIfAbsent(key, record); !set {
			record = was
		}
	}
	return key, record.again(start)
}

// again: a start that was asked for before is a new try; a new start is a chunk of a parallel download when
// it is aligned like one, else a resumed download.
func (r *repeatRecord) again(start int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.starts) >= maxStarts {
		return false
	}
	if slices.Contains(r.starts, start) {
		return true
	}
	r.starts = append(r.starts, start)
	return start%chunkAlign != 0
}

// fine says that the store was checked and has the digest: for one window, repeats of the pair are taken for
// other machines behind one address, not for failures.
func (r *repeats) fine(key repeatKey) {
	r.slots[uint64(key)%repeatSlots].Store(uint64(key)&slotKey | slotFine | r.now())
}

func (r *repeats) now() uint64 { return uint64(time.Since(r.epoch)/time.Second) & slotTime }

// recent reports whether a slot was written within the window.
func recent(word, now uint64) bool {
	return (now-word)&slotTime <= uint64(repeatWindow/time.Second)
}

func (r *repeats) key(client netip.Prefix, thing uint64) repeatKey {
	return repeatKey(mix(client, thing))
}

// mix hashes a network into h.
func mix(client netip.Prefix, h uint64) uint64 {
	a := client.Addr().As16()
	h ^= binary.LittleEndian.Uint64(a[:8])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(a[8:])*0xc2b2ae3d27d4eb4f
	h = (h ^ h>>32) * 0xd6e8feb86659fd93
	return h ^ h>>32
}

// rangeStart is where a request's first range begins: 0 without a Range header, -1 for one that says nothing
// about a start (a suffix, several ranges, garbage).
func rangeStart(values []string) int64 {
	if len(values) == 0 {
		return 0
	}
	spec, ok := strings.CutPrefix(values[0], "bytes=")
	first, _, dash := strings.Cut(spec, "-")
	if len(values) > 1 || !ok || !dash || strings.Contains(spec, ",") {
		return -1
	}
	start, err := strconv.ParseUint(first, 10, 62)
	if err != nil {
		return -1
	}
	return int64(start)
}
