package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/inventory/inspect"
)

func (a *app) inventory() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "inventory",
		Short: "Read what stores say they hold, and correct it",
		Long: `inventory reads the lists that stores publish of the blobs they hold. The server relies on these
lists. The commands read them as the server does, without credentials and over HTTPS (http on
loopback), and change nothing. Only rebuild uses the store's bucket, with the rights of its owner.

URL is the directory that has head.json. To use a store of the config instead, give --config FILE
--store NAME; then the inventory must belong to that store.`,
		Example: `  oci-proxyctl inventory ls https://bucket.example/inventory/
  oci-proxyctl inventory diff --config config.yaml --store s3-use1 --store s3-euc1
  oci-proxyctl inventory export https://bucket.example/inventory/ > held.jsonl
  oci-proxyctl inventory verify --config config.yaml --store s3-use1 --random 20`,
	}, a.inventoryLs(), a.inventoryDiff(), a.inventoryExport(), a.inventoryVerify(), a.inventoryRebuild())
}

// open reads an inventory. On failure, the error's hint says what the URL should be.
func (a *app) open(ctx context.Context, src inspect.Source) (*inspect.Inventory, error) {
	p := a.progress()
	defer p.clear()
	s, err := inspect.Open(ctx, src, inspect.Options{Progress: p.show})
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, cli.Fail("the URL is that of the directory with head.json; inventory verify looks at each part", "%w", err)
	}
	return s, nil
}

// progress shows how much has been received, on a terminal only.
type progress struct {
	w io.Writer // nil: no terminal

	mu   sync.Mutex
	last time.Time
}

func (a *app) progress() *progress {
	if !cli.IsTerminal(a.stderr) {
		return &progress{}
	}
	return &progress{w: a.stderr}
}

// show is called very often, but writes at most five times a second.
func (p *progress) show(received, of int64) {
	if p.w != nil {
		p.line(size(received) + " of " + size(of))
	}
}

// line shows text, unless the last line was shown less than 200 ms ago.
func (p *progress) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.w != nil && now.Sub(p.last) >= 200*time.Millisecond {
		p.last = now
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
	}
}

// clear removes the line.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.last.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func size(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

func totals(t inspect.Totals) string {
	return fmt.Sprintf("%s, %s", cli.Count(t.Blobs, "blob"), size(t.Bytes))
}
