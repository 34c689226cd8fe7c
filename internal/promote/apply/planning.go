package apply

import (
	"context"

	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/store"
	"ociproxy/internal/targets"
)

// Weigh says for what a plan is weighed.
type Weigh struct {
	Sizes  bool         // read the manifests of missing images, to know their sizes
	Stores *targets.Set // nil: without stores
}

// MakePlan compares a tree with what registries hold ([promote.Make]) and weighs the work: by destination, and by
// store. emit gets each promotion with something to do.
func MakePlan(ctx context.Context, tree *manifest.Tree, regs *promote.Registries, opt promote.Options, weigh Weigh, emit func(*promote.Promotion) error) (*promote.Summary, error) {
	names, stores := storesOf(weigh.Stores)
	scale := promote.NewScale(regs.Parts, stores)
	sum, err := promote.Make(ctx, tree, regs, opt, func(p *promote.Promotion) error {
		if err := emit(p); err != nil || !weigh.Sizes {
			return err
		}
		return scale.Add(ctx, p)
	})
	if err == nil && weigh.Sizes {
		err = scale.Flush(ctx)
	}
	if err != nil {
		return nil, err
	}
	if weigh.Sizes {
		scale.Enter(sum, names)
	}
	for i, name := range names {
		if err := weigh.Stores.Ledger.Fault(i); err != nil && sum.Stores[name] != nil {
			sum.Stores[name].Fault = err.Error()
		}
	}
	sum.Asked = regs.Requests()
	return sum, nil
}

// storesOf returns what a plan needs to know about the stores of a config.
func storesOf(f *targets.Set) (names []string, stores *promote.Stores) {
	if f == nil {
		return nil, nil
	}
	for _, s := range f.Stores {
		names = append(names, s.Name())
	}
	return names, &promote.Stores{
		Count: len(names),
		Lacking: func(d oci.Digest) (all []int) {
			lacking := f.Ledger.Lacking(d)
			lacking.Each(func(i int) { all = append(all, i) })
			return all
		},
		Requests: func(i int, size int64) int64 { return store.PutRequests(f.Stores[i].Config.Bucket, size) },
	}
}
