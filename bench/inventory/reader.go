package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
)

// reader is the child process: it does what a proxy does with inventories, and nothing else.
type reader struct {
	url, dir, name string
	figures        []figures.Figure
}

func (r *reader) add(name string, value float64, unit string) {
	r.figures = append(r.figures, figures.Figure{Name: name, Value: value, Unit: unit})
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// read measures and writes the figures as JSON. args: URL, directory, suffix of names, mode.
func read(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 4 {
		return errors.New("reader: it is started by the benchmark itself")
	}
	r := &reader{url: args[0], dir: args[1], name: args[2]}
	if err := r.measure(ctx, args[3] == "memory"); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r.figures)
}

// follow makes a follower over the directory.
func (r *reader) follow() (*inventory.Follower, *inventory.Live, error) {
	f := inventory.NewFollower(inventory.Options{Dir: r.dir})
	var list []inventory.Store
	for i := range stores {
		list = append(list, inventory.Store{ID: storeName(i), Index: i, URL: fmt.Sprintf("%s%d/", r.url, i)})
	}
	live, err := f.Follow(list)
	return f, live, err
}

func (r *reader) measure(ctx context.Context, memory bool) error {
	f, live, err := r.follow()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := f.Refresh(ctx); err != nil {
		return err
	}
	r.add("inventory.first_read_"+r.name, milliseconds(time.Since(begin)), "ms")
	t := live.View().Table
	if r.name == "1m" {
		r.add("inventory.bytes_per_digest", float64(t.Bytes())/float64(t.Len()), "B")
	} else {
		r.add("inventory.bytes_per_digest_"+r.name, float64(t.Bytes())/float64(t.Len()), "B")
	}
	if memory {
		if err := r.underLoad(ctx, f, live); err != nil {
			return err
		}
	}

	// Restarts: the follower builds the table of all stores at once, from the disk.
	var build, load []float64
	for range 5 {
		if f, live, err = r.follow(); err != nil {
			return err
		}
		begin := time.Now()
		f.Load()
		load = append(load, milliseconds(time.Since(begin)))
		build = append(build, milliseconds(live.View().Table.Took()))
	}
	r.add("inventory.build_"+r.name, slices.Min(build), "ms")
	r.add("inventory.restart_"+r.name, slices.Min(load), "ms")
	if r.name == "1m" {
		r.lookups(live.View().Table)
	}
	return nil
}

// underLoad refreshes several times while look-ups go on, and measures resident memory.
func (r *reader) underLoad(ctx context.Context, f *inventory.Follower, live *inventory.Live) error {
	// Reset the peak: it must be that of the refreshes, not of the first read.
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() { lookAround(ctx, live, uint64(i)) })
	}
	var took []float64
	for range 8 {
		if err := change(ctx, r.url); err != nil {
			return err
		}
		if err := f.Refresh(ctx); err != nil {
			return err
		}
		took = append(took, milliseconds(live.View().Table.Took()))
	}
	touch(live.View().Table)
	stop()
	wg.Wait()
	steady, err := memoryOf("VmRSS")
	if err != nil {
		return err
	}
	peak, err := memoryOf("VmHWM")
	r.add("inventory.refresh_"+r.name, slices.Min(took), "ms")
	suffix := ""
	if r.name != "1m" {
		suffix = "_" + r.name
	}
	r.add("memory.inventory.steady"+suffix, steady, "MiB")
	r.add("memory.inventory.peak"+suffix, peak, "MiB")
	return err
}

// touch reads every page of the table: pages that no look-up has touched would not be resident.
func touch(t *inventory.Table) {
	for i := 0; i < t.Len(); i += 50 {
		t.Sample(uint64(i), func(inventory.Entry) bool { return true })
	}
}

func change(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"change", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("change: status %d", resp.StatusCode)
	}
	return nil
}

// lookAround looks up digests that the table has, all over the table, at a tenth of what a core could do.
func lookAround(ctx context.Context, live *inventory.Live, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		for range 200 {
			t := live.View().Table
			if d, _, ok := t.Sample(rng.Uint64(), func(inventory.Entry) bool { return true }); ok {
				if _, ok := t.Lookup(d); !ok {
					panic("a digest of the table is not in the table")
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lookups measures look-ups in blocks. The digests are in the processor's cache, the table is not.
func (r *reader) lookups(t *inventory.Table) {
	const block = 20_000
	var digests []oci.Digest
	for d := range t.All() {
		digests = append(digests, d)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	rng.Shuffle(len(digests), func(i, j int) { digests[i], digests[j] = digests[j], digests[i] })
	var text strings.Builder // the digests, one after the other in memory
	for _, d := range digests {
		text.WriteString(d.String())
	}
	for i := range digests {
		digests[i], _ = oci.ParseDigest(text.String()[71*i : 71*i+71])
	}
	latency := latencyOf(int(t.Bytes()))
	var held, absent []float64
	for ; len(digests) >= 2*block; digests = digests[2*block:] {
		held = append(held, timed(block, func(i int) { _, _ = t.Lookup(digests[i]) }))
		others := make([]oci.Digest, block)
		for i := range others {
			others[i] = missing(digests[block+i])
		}
		absent = append(absent, timed(block, func(i int) { _, _ = t.Lookup(others[i]) }))
	}
	r.add("inventory.lookup_cold", median(held), "ns")
	r.add("inventory.lookup_cold_best", slices.Min(held), "ns")
	r.add("inventory.lookup_absent", median(absent), "ns")
	r.add("inventory.memory_latency", latency, "ns")
	r.add("inventory.lookup_cold_per_latency", median(held)/latency, "ratio")
}

// missing returns a digest next to d that no store holds.
func missing(d oci.Digest) oci.Digest {
	text := []byte(d.String())
	for i := 7 + 8; i < len(text); i++ {
		text[i] = "fedcba9876543210"[strings.IndexByte("0123456789abcdef", text[i])]
	}
	out, _ := oci.ParseDigest(string(text))
	return out
}

// timed returns the ns per call.
func timed(n int, f func(i int)) float64 {
	begin := time.Now()
	for i := range n {
		f(i)
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(n)
}

// latencyOf returns the ns of one read at a random place of n bytes, when the next place depends on the read.
func latencyOf(n int) float64 {
	next := make([]uint32, n/4)
	for i := range next {
		next[i] = uint32(i)
	}
	rng := rand.New(rand.NewPCG(9, 9)) // Sattolo's shuffle: one cycle through all places
	for i := len(next) - 1; i > 0; i-- {
		j := rng.IntN(i)
		next[i], next[j] = next[j], next[i]
	}
	at := uint32(0)
	var blocks []float64
	for range 40 {
		blocks = append(blocks, timed(20_000, func(int) { at = next[at] }))
	}
	if int(at) >= len(next) {
		panic("out of the cycle")
	}
	return median(blocks)
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// memoryOf returns the value of a line of /proc/self/status, in MiB.
func memoryOf(name string) (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, name+": %f kB", &kB); n == 1 {
			return kB / 1024, nil
		}
	}
	return 0, fmt.Errorf("no %s in /proc/self/status", name)
}
