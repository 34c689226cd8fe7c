package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"ociproxy/internal/config"
	"ociproxy/internal/store"
	"ociproxy/internal/store/address"
	"ociproxy/internal/targets"
)

// Options of [Want] and [Open].
type Options struct {
	// LogBucket is the S3 bucket that gets the access logs; "" leaves the logs as they are.
	LogBucket string
	// Getenv reads the environment, which has the credentials; nil means os.Getenv.
	Getenv func(string) string
	Logger *slog.Logger
}

// Errors of this package.
var (
	// ErrForeign means that the bucket exists and is not the one that the config means: it belongs to another account,
	// or lies in another region.
	ErrForeign = errors.New("the bucket is not ours")
	// ErrNoBucket means that the config names no bucket that could be made.
	ErrNoBucket = errors.New("there is no bucket to make")
)

// Bucket is the bucket of one store of a config. It is not for several goroutines at once.
type Bucket struct {
	store *config.Store
	at    address.Bucket
	of    service
}

// item is a setting of a bucket at its service.
type item struct {
	Setting
	// has says how a service other than the cloud's own may lack the setting.
	has has
	// look fills in state and value. An error about rights, or that the service does not have the setting, becomes the
	// state.
	look func(context.Context) (Finding, error)
	// set changes the setting to the wanted value, and keeps what an operator added. nil: look says all there is.
	set func(context.Context) error
}

// has says whether every service of a kind has a setting.
type has int

const (
	always  has = iota // every service has it
	mayLack            // another service may lack it, and mostly says so when it is read
	mayDrop            // another service may lack it, and only a try shows this
)

// service is one kind of service.
type service interface {
	kind() string
	// items lists the settings in the order in which they must be set. The first one is the bucket itself.
	items() []item
	// explain says what an error of the service means for a setting that was read or changed.
	explain(it item, changing bool, err error) (state State, detail, remedy string)
	// own reports whether this is the cloud's own service.
	own() bool
}

// Want lists the settings that the bucket of a store needs, in the order in which they are set. It makes no request. A
// store without a bucket, or with a directory of files, has none: the error is [ErrNoBucket].
func Want(s *config.Store, opt Options) ([]Setting, error) {
	b, err := Open(context.Background(), s, opt)
	if err != nil {
		return nil, err
	}
	var all []Setting
	for _, it := range b.of.items() {
		all = append(all, it.Setting)
	}
	return all, nil
}

// Open opens the bucket of a store for its settings. It makes no request.
func Open(ctx context.Context, s *config.Store, opt Options) (*Bucket, error) {
	if s.Bucket == "" {
		return nil, fmt.Errorf("%w: the config names none for %s", ErrNoBucket, s.Name)
	}
	at, err := address.Parse(s.Bucket)
	if err != nil {
		return nil, err
	}
	if at.Scheme == "file" {
		return nil, fmt.Errorf("%w: %s is a directory, make it with mkdir", ErrNoBucket, at.Shown())
	}
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	region := targets.RegionOf(s)
	opened, err := store.Open(ctx, s.Bucket, store.Options{
		Owner: s.Owner, Region: region, Getenv: opt.Getenv, Logger: opt.Logger, Settings: true,
	})
	if err != nil {
		return nil, err
	}
	b := &Bucket{store: s, at: at}
	if of, ok := store.AsS3(opened); ok {
		b.of = &s3Service{S3: of, opened: opened, at: at, region: cmp.Or(at.Region, region), logs: opt.LogBucket, store: s.Name}
	}
	if of, ok := store.AsAzure(opened); ok {
		b.of = &azureService{Azure: of, opened: opened}
	}
	if at.Scheme == "gs" {
		b.of = &gcsService{opened: opened, region: region, name: at.Name, prefix: at.Prefix,
			project: cmp.Or(s.Owner, opt.Getenv("GOOGLE_CLOUD_PROJECT"), opt.Getenv("CLOUDSDK_CORE_PROJECT"))}
	}
	return b, nil
}

// Look compares the bucket with what is wanted. It writes nothing. A bucket that does not exist is no error. The error
// wraps [ErrForeign] if the bucket is not the one that the config means.
func (b *Bucket) Look(ctx context.Context) (*Report, error) {
	r := &Report{Store: b.store.Name, Bucket: b.at.Shown(), Kind: b.of.kind(), Findings: []Finding{}}
	for i, it := range b.of.items() {
		f, err := b.look(ctx, it, i == 0 || r.Exists)
		if err != nil {
			return r, err
		}
		if i == 0 {
			r.Exists = f.State == Good
		}
		r.Findings = append(r.Findings, f)
	}
	return r, nil
}

// look looks at one setting. Only the first setting can have an error other than the end of ctx.
func (b *Bucket) look(ctx context.Context, it item, exists bool) (Finding, error) {
	unsure := it.has == mayDrop && !b.of.own()
	if !exists && it.set != nil {
		return Finding{Setting: it.Setting, State: Missing, Unsure: unsure}, nil
	}
	f, err := it.look(ctx)
	f.Setting = it.Setting
	f.Unsure = unsure && f.State == Missing
	if err == nil {
		return f, nil
	}
	if it.Name == bucketItself || ctx.Err() != nil {
		return f, err
	}
	f.State, f.Detail, f.Remedy = b.of.explain(it, false, err)
	return f, nil
}

// bucketItself is the name of the first setting of every kind.
const bucketItself = "bucket"

// Apply brings the bucket to what is wanted, and tells each of the settings as soon as it is known. It can be
// interrupted at any time, and be run again: it then finishes what is left. A setting that cannot be changed stops only
// itself, unless it is the bucket. The error is that of [Bucket.Look], of a bucket that cannot be made, or the end of
// ctx.
func (b *Bucket) Apply(ctx context.Context, tell func(Finding)) (*Report, error) {
	before, err := b.Look(ctx)
	if err != nil {
		return before, err
	}
	r := *before
	r.Findings = []Finding{}
	for i, it := range b.of.items() {
		if err := ctx.Err(); err != nil {
			return &r, context.Cause(ctx)
		}
		f := before.Findings[i]
		if f.State == Missing {
			if f, err = b.change(ctx, it, f); err != nil {
				return &r, err
			}
		}
		if i == 0 && f.State == Changed { // a new bucket has some settings from the beginning
			if before, err = b.Look(ctx); err != nil {
				return &r, err
			}
		}
		r.Findings = append(r.Findings, f)
		tell(f)
	}
	return &r, nil
}

// change changes one setting that was missing, and reads it back.
func (b *Bucket) change(ctx context.Context, it item, was Finding) (Finding, error) {
	now, err := b.look(ctx, it, true)
	if err != nil && it.Name != bucketItself {
		return now, err
	}
	if now.State != Missing { // another setting brought it along, or the service does not have it
		if now.State == Good {
			now.State = Changed
		}
		now.Weaker = was.Weaker
		return now, nil
	}
	if err := it.set(ctx); err != nil {
		if ctx.Err() != nil {
			return now, context.Cause(ctx)
		}
		if it.Name == bucketItself {
			return now, err
		}
		now.State, now.Detail, now.Remedy = b.of.explain(it, true, err)
		now.Unsure = false
		return now, nil
	}
	after, err := b.look(ctx, it, true)
	if err != nil {
		return after, err
	}
	after.Weaker, after.Unsure = cmp.Or(was.Weaker, now.Weaker), false
	switch {
	case after.State == Good:
		after.State = Changed
	case after.State == Missing && !b.of.own():
		after.State, after.Detail = Unsupported, "the service accepted the setting and did not keep it"
	case after.State == Missing:
		after.State, after.Detail = Failed, "the service accepted the setting, and still shows the old one"
		after.Remedy = "run the command again in a minute"
	}
	return after, nil
}
