package main

import (
	"context"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/inventory/inspect"
)

// held returns how many bytes the stores hold, by --held and the inventories.
func (a *app) held(ctx context.Context, cfg *config.Config, how *reporting) (map[string]float64, error) {
	out := map[string]float64{}
	if how.inventories {
		for i := range cfg.Stores {
			if s := &cfg.Stores[i]; s.Inventory.Enabled() {
				src, err := sourceOf(cfg, s.Name)
				if err != nil {
					return nil, err
				}
				held, err := a.open(ctx, src)
				if err != nil {
					return nil, err
				}
				var sum inspect.Totals
				for rec, err := range held.Records() {
					if err != nil {
						held.Close()
						return nil, err
					}
					sum.Add(rec.Size)
				}
				held.Close()
				out[s.Name] = float64(sum.Bytes)
			}
		}
	}
	for _, text := range how.held {
		name, size, ok := strings.Cut(text, "=")
		n, err := humanize.ParseBytes(size)
		if !ok || err != nil || n > 1<<60 {
			return nil, cli.Usage("for example --held s3-use1=12TiB", "--held %q is not STORE=SIZE", text)
		}
		if !slices.ContainsFunc(cfg.Stores, func(s config.Store) bool { return s.Name == name }) {
			return nil, cli.Usage("store ls lists the names", "--held %s: no store %q in the config", text, name)
		}
		out[name] = float64(n)
	}
	return out, nil
}
