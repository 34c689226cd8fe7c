package apply

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/promote"
	"ociproxy/internal/store"
)

// Options of [Open]. Zero values mean the default.
type Options struct {
	Registries *promote.Registries
	// Config has the stores; nil: there are none.
	Config *config.Config
	// Settle is how long a tag waits after the last inventory that lists its layers was written; nil:
	// [DefaultSettle].
	Settle  *time.Duration
	Require Require
	// StoreTimeout is how long an image waits for slow stores, and the run for their inventories; default 15 min. A
	// store that does not finish in this time gets nothing more in this run.
	StoreTimeout time.Duration
	// Parallel is how many images are read and copied at once; default 8.
	Parallel int
	// Fresh: the plan was made just now. Otherwise the run also checks tags before it writes anything.
	Fresh bool

	// Lease names the runs that may not run at the same time: those with the same name; default "default". TTL is how
	// long the lease of a killed run stays; default 30 s.
	Lease string
	TTL   time.Duration

	// Who and Plan are what the audit log says of this run: a person or job, and the plan's hash.
	Who, Plan string
	// Audit gets a JSON line for each write; nil: there is no audit log. When it cannot be written to, the run ends.
	Audit io.Writer

	// Before is called before anything of an image is written. An error keeps the image from being promoted
	// ([promote.Policy]). nil permits all.
	Before func(ctx context.Context, p *promote.Promotion) error
	// Placed is called when an image is in its destinations by digest and has no tags yet: sign the image here. to
	// are the repositories. signed says that Placed wrote a signature, in the canonical repository. An error keeps
	// the image from being tagged ([promote.Policy]).
	Placed func(ctx context.Context, p *promote.Promotion, to []string) (signed bool, err error)

	// Wrap is that of targets.Options.
	Wrap   func(store.Bucket) store.Bucket
	Getenv func(string) string
	Logger *slog.Logger
}

// defaults of Options.
const (
	defaultStoreTimeout = 15 * time.Minute
	defaultParallel     = 8
	defaultTTL          = 30 * time.Second
)

func (o *Options) setDefaults() {
	if o.StoreTimeout <= 0 {
		o.StoreTimeout = defaultStoreTimeout
	}
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel
	}
	if o.TTL <= 0 {
		o.TTL = defaultTTL
	}
	if o.Lease == "" {
		o.Lease = "default"
	}
	if o.Config == nil {
		o.Config = new(config.Config)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Require says how many stores must hold an image before its tags are set. The zero value is "healthy".
type Require struct {
	all bool
	n   int
}

// ParseRequire reads "healthy", "all" or a number.
//
// healthy: every store that can be written to, and at least one if there are any. What is missing in the others is
// reported, and the next mirror pass copies it there. all: every store whose bucket is in the config. A number: that
// many stores.
func ParseRequire(text string) (Require, error) {
	switch text {
	case "", "healthy":
		return Require{}, nil
	case "all":
		return Require{all: true}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return Require{}, fmt.Errorf("%q is neither healthy, all, nor a number of stores", text)
	}
	return Require{n: n}, nil
}

// String returns the text that ParseRequire reads.
func (r Require) String() string {
	switch {
	case r.all:
		return "all"
	case r.n > 0:
		return strconv.Itoa(r.n)
	}
	return "healthy"
}

// least returns how many of all stores must hold an image.
func (r Require) least(all int) int {
	switch {
	case r.all:
		return all
	case r.n > 0:
		return r.n
	}
	return min(all, 1)
}

// DefaultSettle returns twice the longest interval at which a proxy reads the inventory of a store that is written to.
// One reading may have come just before, and the next may fail once.
func DefaultSettle(cfg *config.Config) time.Duration {
	var longest time.Duration
	for i := range cfg.Stores {
		if s := &cfg.Stores[i]; s.Bucket != "" && s.Inventory.Enabled() && (s.State == config.Active || s.State == config.Filling) {
			longest = max(longest, s.Inventory.Refresh)
		}
	}
	return 2 * longest
}
