package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/inventory"
)

// Inventory describes a store's inventory, as a server would read it now.
type Inventory struct {
	Store string         `json:"store"`
	URL   string         `json:"url"`
	State InventoryState `json:"state"`
	// Believed says that a server treats digests that are not listed as absent. Otherwise it asks the store by HEAD.
	Believed   bool      `json:"believed"`
	Says       string    `json:"says,omitempty"` // the store that its head names
	Generation uint64    `json:"generation,omitempty"`
	WrittenAt  time.Time `json:"writtenAt,omitzero"`
	AgeSeconds int64     `json:"ageSeconds"`
	Records    uint64    `json:"records"` // of blobs; a blob may have several, and the last one counts
	Segments   int       `json:"segments"`
	Bytes      int64     `json:"bytes"`
	Error      string    `json:"error,omitempty"`
}

// InventoryState is the state of an inventory. The names are stable.
type InventoryState string

// These are the states of inventories.
const (
	InventoryCurrent InventoryState = "current" // believed
	InventoryStale   InventoryState = "stale"   // older than staleAfter
	InventoryMissing InventoryState = "missing" // the store answers 403 or 404
	InventoryForeign InventoryState = "foreign" // its head names another store
	InventoryRefused InventoryState = "refused" // it is broken, too long, from the future, or incomplete
	InventoryUnread  InventoryState = "unread"  // no answer that shows the state
)

const (
	meanwhile       = ". Until then the proxy asks the store for each new digest by HEAD"
	hintNoInventory = "the mirror writes it in its first pass: check inventory: url, and that anyone may read head.json and seg/" +
		meanwhile
	hintStale   = "the mirror rewrites it in each pass: find out why it does not run, or raise inventory: staleAfter" + meanwhile
	hintForeign = "a bucket was copied, or inventory: url belongs to another store: set it to this store's own, and run " +
		"inventory rebuild" + meanwhile
	hintRefused      = "oci-proxyctl inventory verify says more; inventory rebuild writes it again" + meanwhile
	hintStoreRecords = "raise limits: storeRecords, if there is memory for it" + meanwhile
)

// inventory examines a store's inventory: its head, and whether the segments that it lists exist.
func (p *storeProbe) inventory(ctx context.Context, s config.Store, most int) *Inventory {
	inv := &Inventory{Store: s.Name, URL: s.Inventory.URL}
	v := p.readInventory(ctx, s, most, inv)
	inv.Believed = inv.State == InventoryCurrent
	if v.Result == Failed || inv.State == InventoryMissing {
		inv.Error = v.Detail
	}
	p.read("inventory", v)
	return inv
}

func (p *storeProbe) readInventory(ctx context.Context, s config.Store, most int, inv *Inventory) judge.Verdict {
	inv.State = InventoryUnread
	ans := p.get(ctx, s.Inventory.URL+inventory.HeadName, inventory.MaxHeadBytes, maxRedirects, nil)
	if ans.Err == nil && (ans.Status == http.StatusNotFound || ans.Status == http.StatusForbidden || ans.Status == http.StatusGone) {
		inv.State = InventoryMissing
		return judge.Warn(hintNoInventory, "%d for %s: there is no inventory", ans.Status, inventory.HeadName)
	}
	if v, bad := judge.Trouble(ans); bad {
		return v
	}
	if ans.Status != http.StatusOK {
		return judge.Fail(hintRefused, "%d for %s, want 200", ans.Status, inventory.HeadName)
	}
	inv.State = InventoryRefused
	if ans.Truncated {
		return judge.Fail(hintRefused, "refused: %s has more than %s", inventory.HeadName, judge.Size(inventory.MaxHeadBytes))
	}
	h, err := inventory.ParseHead(ans.Body)
	if err != nil {
		return judge.Verdict{Result: Failed, Detail: "refused: " + err.Error(), Hint: hintRefused}
	}
	now := time.Now()
	inv.describe(h, now)
	switch err := h.CheckTime(now); {
	case h.Store != s.Name:
		inv.State = InventoryForeign
		return judge.Fail(hintForeign, "refused: %s: it says %.80q", inventory.ErrForeign, h.Store)
	case err != nil:
		return judge.Verdict{Result: Failed, Detail: "refused: " + err.Error(), Hint: hintRefused}
	case most > 0 && inv.Records > uint64(most):
		return judge.Fail(hintStoreRecords, "refused: %s, more than limits.storeRecords, %s", inv.content(), humanize.Comma(int64(most)))
	}
	if err := p.segments(ctx, s, h); err != nil {
		return judge.Verdict{Result: Failed, Detail: "refused: " + err.Error(), Hint: hintRefused}
	}
	stale := s.Inventory.StaleAfter
	if stale <= 0 {
		stale = inventory.DefaultStaleAfter
	}
	if age := now.Sub(h.WrittenAt); age > stale {
		inv.State = InventoryStale
		return judge.Warn(hintStale, "stale: %s; not believed after %s", inv.content(), stale)
	}
	inv.State = InventoryCurrent
	return judge.Verdict{Result: Info, Detail: inv.content() + ": believed"}
}

// describe takes over the values of a head.
func (i *Inventory) describe(h *inventory.Head, now time.Time) {
	i.Says, i.Generation, i.WrittenAt = h.Store, h.Generation, h.WrittenAt.UTC()
	i.AgeSeconds = int64(now.Sub(h.WrittenAt).Seconds())
	for _, s := range h.Segments {
		if !s.Images() {
			i.Segments++
			i.Records += s.Count
			i.Bytes += s.Bytes
		}
	}
}

// content returns the contents of an inventory in words.
func (i *Inventory) content() string {
	return fmt.Sprintf("%s in %s, written %s ago", cli.Count(int64(i.Records), "record"), cli.Count(int64(i.Segments), "segment"),
		(time.Duration(i.AgeSeconds) * time.Second).String())
}

// errSegment says that a segment differs from what the head says.
var errSegment = errors.New("a segment that it lists is not there, or of another size")

// segments asks for each segment that a server reads. Their content is checked by inventory verify.
func (p *storeProbe) segments(ctx context.Context, s config.Store, h *inventory.Head) error {
	for _, ref := range h.Segments {
		if ref.Images() {
			continue
		}
		ans := p.head(ctx, s.Inventory.URL+inventory.SegmentPrefix+ref.SHA256, maxRedirects, nil)
		switch {
		case ans.Err != nil:
			return fmt.Errorf("segment %.12s…: %w", ref.SHA256, ans.Err)
		case ans.Status == http.StatusMethodNotAllowed || ans.Status == http.StatusNotImplemented: // servers read it with GET
		case ans.Status != http.StatusOK:
			return fmt.Errorf("%w: %d for %.12s…", errSegment, ans.Status, ref.SHA256)
		case ans.Length >= 0 && ans.Length != ref.Bytes:
			return fmt.Errorf("%w: %.12s… has %d bytes, not %d", errSegment, ref.SHA256, ans.Length, ref.Bytes)
		}
	}
	return nil
}
