// Command mirror measures `oci-proxyctl mirror`. The mirror copies 2 GiB in 200 images from CNCF distribution to three
// S3 servers (versitygw) on loopback; a bare loop and skopeo copy the same bytes for comparison. The command also
// measures a second pass over the same images, and memory with one large layer. The servers share the machine with what
// is measured, so compare the ratios, not the seconds.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ociproxy/bench/figures"
	"ociproxy/bench/process"
	"ociproxy/internal/registry"
)

func main() {
	mib := flag.Int64("mib", 2048, "bytes of all unique layers, in MiB")
	images := flag.Int("images", 200, "images")
	large := flag.String("large", "300,6144", "sizes of single layers, in MiB, whose memory is measured")
	rounds := flag.Int("rounds", 3, "rounds of mirror and bare loop, one after the other")
	parts := flag.String("parts", cmp.Or(os.Getenv("OCIPROXY_PARTS"), ".bin"), "where registry and versitygw are")
	flag.Parse()
	code := process.Run("mirror", func(ctx context.Context, dir string) error {
		return run(ctx, dir, *parts, *mib<<20, *images, *rounds, *large)
	})
	os.Exit(code) //nolint:forbidigo // this is a main
}

// bench is everything that runs.
type bench struct {
	dir, parts string
	program    string // oci-proxyctl
	url, log   string // of the registry
	source     *source
	stores     []*server
	out        []figures.Figure
}

func run(ctx context.Context, dir, parts string, total int64, images, rounds int, large string) (err error) {
	b := &bench{dir: dir, parts: parts}
	if b.program, err = process.BuildCommand(ctx, dir, "oci-proxyctl"); err != nil {
		return err
	}
	if b.url, b.log, err = startRegistry(ctx, parts, dir); err != nil {
		return err
	}
	for _, region := range regions {
		s, err := startStore(ctx, parts, dir, region)
		if err != nil {
			return err
		}
		b.stores = append(b.stores, s)
	}
	reg, err := registry.Open(registry.Options{URL: b.url, Insecure: true, Budget: registry.NewBudget(1e6, 8)})
	if err != nil {
		return err
	}
	defer reg.Close()
	b.source = &source{Registry: reg, dir: dir}
	repositories, err := b.source.fill(ctx, images, total)
	if err != nil {
		return err
	}
	if err := b.copies(ctx, repositories, rounds); err != nil {
		return err
	}
	for size := range strings.SplitSeq(large, ",") {
		if err := b.largest(ctx, size); err != nil {
			return err
		}
	}
	return figures.Write(os.Stdout, filepath.Join("bench", "out", "mirror.json"), b.out)
}

func (b *bench) add(name string, value float64, unit string) {
	b.out = append(b.out, figures.Figure{Name: name, Value: value, Unit: unit})
	fmt.Fprintf(os.Stderr, "%s %.3f %s\n", name, value, unit)
}

// copies measures complete passes in turns with the bare loop. It empties the stores before each.
func (b *bench) copies(ctx context.Context, repositories []string, rounds int) error {
	var unique int64
	for _, l := range b.source.blobs {
		unique += l.size
	}
	var ratios, seconds, rates []float64
	for round := range rounds {
		for _, s := range b.stores {
			if err := s.empty(ctx, bucket, bareName); err != nil {
				return err
			}
		}
		bare := filepath.Join(b.dir, "bare")
		if err := os.MkdirAll(bare, 0o755); err != nil {
			return err
		}
		loop, err := bareCopy(ctx, b.url, bare, b.stores, b.source.blobs, 16)
		if err != nil {
			return fmt.Errorf("bare loop: %w", err)
		}
		first, err := b.pass(ctx, bucket, repositories)
		if err != nil {
			return err
		}
		ratios = append(ratios, first.took.Seconds()/loop.Seconds())
		seconds = append(seconds, first.took.Seconds())
		rates = append(rates, float64(unique)/first.took.Seconds()/(1<<20))
		if round > 0 {
			continue
		}
		b.add("mirror.source_bytes_over_unique", float64(first.blobBytes)/float64(unique), "")
		b.add("mirror.source_requests_over_objects", float64(first.requests)/float64(len(b.source.blobs)+b.source.count), "")
		b.add("mirror.rss", first.rss, "MiB")
		again, err := b.pass(ctx, bucket, repositories)
		if err != nil {
			return err
		}
		b.add("mirror.second_pass.blobs_copied", float64(again.blobs), "")
		b.add("mirror.second_pass.requests", float64(again.requests), "")
		b.add("mirror.second_pass.requests_over_images", float64(again.requests)/float64(b.source.count), "")
		b.add("mirror.second_pass.store_requests", float64(again.storeRequests)/float64(len(b.stores)), "a store")
		b.add("mirror.second_pass.seconds", again.took.Seconds(), "s")
		skopeo, err := b.skopeo(ctx, repositories)
		if err != nil {
			return err
		}
		if skopeo > 0 {
			b.add("mirror.wall_vs_skopeo", first.took.Seconds()/skopeo.Seconds(), "")
		}
	}
	slices.Sort(ratios)
	slices.Sort(seconds)
	slices.Sort(rates)
	b.add("mirror.wall_vs_bare_copy", ratios[len(ratios)/2], "")
	b.add("mirror.seconds", seconds[len(seconds)/2], "s")
	b.add("mirror.source_mib_per_second", rates[len(rates)/2], "MiB/s")
	return nil
}

// largest measures the memory of a pass over an image with one layer of mib MiB. Its bucket holds nothing else.
func (b *bench) largest(ctx context.Context, mib string) error {
	size, err := strconv.ParseInt(mib, 10, 64)
	if err != nil {
		return err
	}
	repository := "large/of-" + mib
	l, err := b.source.layer(ctx, repository, uint64(size), size<<20)
	if err != nil {
		return err
	}
	if err := b.source.image(ctx, repository, "v1", []blob{l}); err != nil {
		return err
	}
	p, err := b.pass(ctx, largeName, []string{repository})
	if err != nil {
		return err
	}
	if p.blobs != 2*len(b.stores) {
		return fmt.Errorf("%s: %d blobs were written, expected %d", repository, p.blobs, 2*len(b.stores))
	}
	b.add("mirror.rss_"+mib+"mib", p.rss, "MiB")
	b.add("mirror.seconds_"+mib+"mib", p.took.Seconds(), "s")
	for _, s := range b.stores {
		if err := s.empty(ctx, largeName); err != nil {
			return err
		}
	}
	return nil
}

// skopeo copies every image to three directories. skopeo has no object stores, so this is the nearest comparison. It
// returns 0 if skopeo is not installed.
func (b *bench) skopeo(ctx context.Context, repositories []string) (time.Duration, error) {
	if _, err := exec.LookPath("skopeo"); err != nil {
		return 0, nil
	}
	start := time.Now()
	for _, s := range b.stores {
		for _, r := range repositories {
			to := filepath.Join(b.dir, "skopeo", s.region, r)
			cmd := process.Command(ctx, "skopeo", "sync", "--all", "--src-tls-verify=false", "--src", "docker", "--dest", "dir",
				strings.TrimPrefix(b.url, "http://")+"/"+r, to)
			if err := os.MkdirAll(to, 0o755); err != nil {
				return 0, err
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				return 0, errors.Join(err, errors.New(string(out)))
			}
		}
	}
	return time.Since(start), os.RemoveAll(filepath.Join(b.dir, "skopeo"))
}
