package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"ociproxy/bench/process"
	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/registry"
)

// measure checks and plans once, and prints the time and memory that it took. The plan goes to a file.
func measure(ctx context.Context, dir, world string) error {
	begin := time.Now()
	tree, err := manifest.Load(dir)
	if err != nil {
		return err
	}
	check := time.Since(begin)
	w := newListings(tree, world == "done")
	w.tells = world != "silent"
	out, err := os.Create(filepath.Join(dir, "plan.json"))
	if err != nil {
		return err
	}
	begin = time.Now() // the listings are input, so their time does not count
	file := promote.NewWriter(out, promote.Header{Made: begin, Manifests: dir, Hash: tree.Hash})
	sum, err := promote.Make(ctx, tree, w, promote.Options{}, file.Add)
	if err == nil {
		err = file.Close(sum)
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	plan := time.Since(begin)
	if want := sum.Edges; sum.Planned != want && world != "done" || sum.Done != want && world == "done" {
		return fmt.Errorf("the plan is wrong: %+v", sum)
	}
	peak, err := peak()
	if err != nil {
		return err
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	fmt.Printf("seconds %f\ncheck %f\ncpu %f\npeak %f\nedges %d\nasked %d\n", (check + plan).Seconds(), check.Seconds(), cpu.Seconds(), peak, sum.Edges, w.asked.Load())
	return nil
}

// listings is a set of registries in memory that list digests.
type listings struct {
	tells   bool // also answers a manifest request with NAME_UNKNOWN, if the repository does not exist
	asked   atomic.Int64
	source  map[string]*registry.Listing
	present map[string]*registry.Listing
}

func newListings(tree *manifest.Tree, done bool) *listings {
	l := &listings{source: map[string]*registry.Listing{}, present: map[string]*registry.Listing{}}
	for p, i := range tree.Images() {
		list := listing(i)
		l.source[p.Source.Repository(i.Name)] = list
		if done {
			for _, d := range p.Destinations {
				l.present[d.Repository(i.Name)] = list
			}
		}
	}
	return l
}

func listing(i *manifest.Image) *registry.Listing {
	l := &registry.Listing{All: true}
	for _, d := range i.Digests {
		l.Manifests = append(l.Manifests, registry.Listed{Digest: d.Digest})
		for _, t := range d.Tags {
			l.Tags = append(l.Tags, registry.Tag{Name: t.Name, Digest: d.Digest})
		}
	}
	slices.SortFunc(l.Tags, func(a, b registry.Tag) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(l.Manifests, func(a, b registry.Listed) int { return cmp.Compare(a.Digest.String(), b.Digest.String()) })
	return l
}

// List implements [promote.World]. Each answer is a copy, as an answer from the network is.
func (l *listings) List(_ context.Context, repository string) (*registry.Listing, error) {
	l.asked.Add(1)
	i := cmp.Or(l.source[repository], l.present[repository])
	if i == nil {
		return nil, unknown
	}
	return &registry.Listing{All: true, Tags: slices.Clone(i.Tags), Manifests: slices.Clone(i.Manifests)}, nil
}

// Resolve implements [promote.World]. Only digests of repositories that do not exist are resolved.
func (l *listings) Resolve(context.Context, string, string) (oci.Digest, error) {
	l.asked.Add(1)
	return oci.Digest{}, registry.ErrNotFound
}

// NameUnknown implements [promote.World].
func (l *listings) NameUnknown(context.Context, string, oci.Digest) (bool, error) {
	l.asked.Add(1)
	return l.tells, nil
}

var unknown = &registry.StatusError{Code: http.StatusNotFound, Errors: []registry.Detail{{Code: "NAME_UNKNOWN"}}}

// peak returns the peak memory of this process, in MiB.
func peak() (float64, error) { return process.Memory(os.Getpid(), "VmHWM") }
