package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
)

const stores = 33

// world serves the inventories of all stores: /<n>/head.json and /<n>/seg/…; a POST to /change adds
// some digests to all of them.
type world struct {
	url     string
	buckets [stores]*inventorytest.Bucket
	writers [stores]*write.Writer
	server  *http.Server
	done    chan struct{}
	rng     *rand.Rand
}

func storeName(i int) string { return fmt.Sprintf("store-%02d", i) }

// publish writes the inventories and serves them.
func publish(ctx context.Context, digests int, distinct bool) (*world, error) {
	w := &world{rng: rand.New(rand.NewPCG(7, 2026)), done: make(chan struct{})}
	for i := range w.buckets {
		w.buckets[i] = &inventorytest.Bucket{}
		w.writers[i] = write.New(w.buckets[i], write.Options{Store: storeName(i)})
	}
	if err := w.fill(ctx, w.records(digests), distinct); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w.url = "http://" + l.Addr().String() + "/"
	w.server = &http.Server{Handler: w} //nolint:gosec // loopback
	go func() {
		defer close(w.done)
		_ = w.server.Serve(l) // until close
	}()
	return w, nil
}

func (w *world) close() {
	_ = w.server.Close() // the measurement is over
	<-w.done
}

// fill gives every store 98 of 100 records, and a random half of the others.
func (w *world) fill(ctx context.Context, records []inventory.Record, distinct bool) error {
	var common []inventory.Record
	own := make([][]inventory.Record, stores)
	for i, r := range records {
		everybody := i%50 != 25
		if everybody && !distinct {
			common = append(common, r)
			continue
		}
		for s := range own {
			if everybody || w.rng.IntN(2) == 0 {
				own[s] = append(own[s], r)
			}
		}
	}
	if len(common) > 0 {
		if _, err := w.writers[0].Apply(ctx, common...); err != nil {
			return err
		}
		for _, key := range w.buckets[0].Keys(inventory.SegmentPrefix) {
			o, _ := w.buckets[0].Object(key)
			for s := 1; s < stores; s++ {
				w.buckets[s].Set(key, o.Body) // all stores share one copy in memory
			}
		}
		o, _ := w.buckets[0].Object(inventory.HeadName)
		for s := 1; s < stores; s++ {
			w.buckets[s].Set(inventory.HeadName, []byte(strings.Replace(string(o.Body), storeName(0), storeName(s), 1)))
		}
	}
	for s := range own {
		if _, err := w.writers[s].Apply(ctx, own[s]...); err != nil {
			return err
		}
		own[s] = nil
	}
	return nil
}

// records makes n records in ascending order of digest. The digests are spread as hashes are.
func (w *world) records(n int) []inventory.Record {
	list := make([]inventory.Record, 0, n)
	at := 0.0
	for len(list) < n {
		if at += w.rng.ExpFloat64() / float64(n+1) * 0.999; at >= 1 {
			at = 1 - float64(n-len(list))*math.Pow(2, -52) // so unlikely that the spread does not matter here
		}
		list = append(list, w.record(uint64(at*math.MaxUint64)))
	}
	return list
}

func (w *world) record(prefix uint64) inventory.Record {
	var raw [32]byte
	binary.BigEndian.PutUint64(raw[:], prefix)
	for i := 8; i < 32; i += 8 {
		binary.BigEndian.PutUint64(raw[i:], w.rng.Uint64())
	}
	d, err := oci.ParseDigest("sha256:" + hex.EncodeToString(raw[:]))
	if err != nil {
		panic(err) // cannot happen: the digits are hexadecimal
	}
	return inventory.Record{Digest: d, Size: w.rng.Int64N(1 << 30), Kind: inventory.Blob}
}

// change adds a thousand digests to every store, as a mirror's pass does.
func (w *world) change(ctx context.Context) error {
	var batch []inventory.Record
	for range 1000 {
		batch = append(batch, w.record(w.rng.Uint64()))
	}
	for _, writer := range w.writers {
		if _, err := writer.Apply(ctx, batch...); err != nil {
			return err
		}
	}
	return nil
}

// ServeHTTP implements [http.Handler].
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/change" {
		if err := w.change(r.Context()); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
		}
		return
	}
	for i, b := range w.buckets {
		prefix := fmt.Sprintf("/%d", i)
		if strings.HasPrefix(r.URL.Path, prefix+"/") {
			http.StripPrefix(prefix, b).ServeHTTP(rw, r)
			return
		}
	}
	http.NotFound(rw, r)
}
