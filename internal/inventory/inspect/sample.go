package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize/english"

	"ociproxy/internal/inventory"
	"ociproxy/internal/outbound"
)

// sampleAtOnce is how many blobs are requested at once.
const sampleAtOnce = 8

// askTime limits the request for one blob's size.
const askTime = 20 * time.Second

// count adds up what s holds, and picks n of its blobs at random.
func (r *Report) count(s *Inventory, n int) (sampled []inventory.Record, err error) {
	var held Totals
	for rec, err := range s.Records() {
		if err != nil {
			return nil, err
		}
		held.Add(rec.Size)
		// Each blob so far is in the sample with the same probability (Vitter's algorithm R).
		if len(sampled) < n {
			sampled = append(sampled, rec)
		} else if i := rand.Int64N(held.Blobs); i < int64(n) {
			sampled[i] = rec
		}
	}
	r.Held = &held
	r.add("contents", OK, "", "%s, %s", english.Plural(int(held.Blobs), "blob", ""), english.Plural(int(held.Bytes), "byte", ""))
	return sampled, nil
}

// sample asks the store for blobs that its inventory lists.
func (l *line) sample(ctx context.Context, src Source, v Verification, blobs []inventory.Record, r *Report) {
	errs := make([]error, len(blobs))
	limit := make(chan struct{}, sampleAtOnce)
	var wg sync.WaitGroup
	for i, rec := range blobs {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			address := strings.Replace(src.Blobs, digestMark, rec.Digest.String(), 1)
			errs[i] = l.blob(ctx, address, rec, v.Whole)
		})
	}
	wg.Wait()
	good := len(blobs)
	for _, err := range errs {
		if err != nil {
			good--
		}
	}
	what := "have the size that the inventory says"
	if v.Whole {
		what = "are what their digests say"
	}
	if good > 0 || len(blobs) == 0 {
		r.add("blobs", OK, "", "%d of %d sampled %s", good, len(blobs), what)
	}
	for i, err := range errs {
		if err != nil {
			r.add("blob", judgeBlob(err), blobs[i].Digest.String(), "%v", err)
		}
	}
}

// wrongBlob says that the store has something else under the digest, or nothing.
type wrongBlob struct{ text string }

func (e *wrongBlob) Error() string { return e.text }

func judgeBlob(err error) Result {
	if _, ok := errors.AsType[*wrongBlob](err); ok {
		return Fault
	}
	return judge(err)
}

// blob requests one blob: its size by HEAD, or all of it.
func (l *line) blob(ctx context.Context, address string, rec inventory.Record, whole bool) error {
	method, limit := http.MethodHead, askTime
	if whole {
		method, limit = http.MethodGet, readTime(rec.Size)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp, err := l.get(ctx, l.straight, method, address)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if coding := outbound.Encoding(resp.Header); coding != "" {
		return &wrongBlob{fmt.Sprintf("Content-Encoding %s: clients do not get the bytes of the digest", coding)}
	}
	if resp.ContentLength >= 0 && resp.ContentLength != rec.Size {
		return &wrongBlob{fmt.Sprintf("%d bytes, the inventory says %d", resp.ContentLength, rec.Size)}
	}
	if !whole {
		if resp.ContentLength < 0 {
			return &wrongBlob{"the store does not tell its size"}
		}
		return nil
	}
	sum := rec.Digest.Hash()
	n, err := io.Copy(sum, io.LimitReader(resp.Body, rec.Size+1))
	switch {
	case err != nil:
		return fmt.Errorf("it breaks off after %d of %d bytes: %w", n, rec.Size, err)
	case n != rec.Size:
		return &wrongBlob{fmt.Sprintf("%d bytes or more, the inventory says %d", n, rec.Size)}
	case !rec.Digest.Matches(sum):
		return &wrongBlob{"wrong bytes: the digest does not match"}
	}
	return nil
}
