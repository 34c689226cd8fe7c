package mirror

import (
	"context"
	"errors"

	"ociproxy/internal/ledger"
	"ociproxy/internal/registry"
	"ociproxy/internal/store"
	"ociproxy/internal/targets"
	"ociproxy/internal/transfer"
	"ociproxy/internal/walk"
)

// Class is a kind of error. The set is closed, because it is a metric's label.
type Class string

// The classes. Those of the source begin with "source".
const (
	SourceGone      Class = "source-gone"      // no such repository, manifest or blob
	SourceDenied    Class = "source-denied"    // credentials are missing, or not enough
	SourceThrottled Class = "source-throttled" // it says that it is too much, still after many pauses
	SourceCorrupt   Class = "source-corrupt"   // what it has is not what the digest says
	SourceInvalid   Class = "source-invalid"   // a manifest that is none, too large, nested too deep; an entry of a list that is no name
	SourceFailed    Class = "source-failed"    // no answer, or a broken one
	StoreDenied     Class = "store-denied"     // credentials are missing, or not enough
	StoreUnfit      Class = "store-unfit"      // the bucket cannot be used: not ours, elsewhere, not public
	StoreBehind     Class = "store-behind"     // slower than the others; the next pass brings it up
	StoreWrong      Class = "store-wrong"      // something wrong lies there and could not be replaced
	StoreInventory  Class = "store-inventory"  // the inventory cannot be read or written
	StoreFailed     Class = "store-failed"     // no answer, or a broken one
	Spool           Class = "spool"            // no room on this machine
	Other           Class = "other"
)

// Classes are all classes.
func Classes() []Class {
	return []Class{
		SourceGone, SourceDenied, SourceThrottled, SourceCorrupt, SourceInvalid, SourceFailed,
		StoreDenied, StoreUnfit, StoreBehind, StoreWrong, StoreInventory, StoreFailed, Spool, Other,
	}
}

// classes says what errors are, the more specific ones first.
var classes = []struct {
	err   error
	class Class
}{
	{registry.ErrUnauthorized, SourceDenied},
	{registry.ErrThrottled, SourceThrottled},
	{registry.ErrDigest, SourceCorrupt},
	{transfer.ErrCorrupt, SourceCorrupt},
	{registry.ErrInvalid, SourceInvalid},
	{registry.ErrUnusable, SourceInvalid},
	{registry.ErrTooLarge, SourceInvalid},
	{walk.ErrNested, SourceInvalid},
	{transfer.ErrGone, SourceGone},
	{registry.ErrNotFound, SourceGone},
	{walk.ErrNothing, SourceGone},
	{walk.ErrVanished, SourceGone},
	{transfer.ErrSource, SourceFailed},
	{transfer.ErrSpace, Spool},
	{transfer.ErrBehind, StoreBehind},
	{transfer.ErrUnverified, StoreWrong},
	{store.ErrHidden, StoreWrong},
	{store.ErrDenied, StoreDenied},
	{store.ErrUnfit, StoreUnfit},
	{ledger.ErrUnusable, StoreInventory},
	{targets.ErrRecord, StoreInventory},
	{transfer.ErrClosed, Other},
}

// classOf classifies an error; unknown is the class for an error about which nothing is known.
func classOf(err error, unknown Class) Class {
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return c.class
		}
	}
	return unknown
}

// interrupted reports whether an error only says that everything ends.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}
