package faults

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
)

// layer returns the digest of the app's i-th layer.
func (w *world) layer(i int) string { return w.images[w.app()].Arch["amd64"].Blobs[i].Digest }

// overwrite replaces an object of the inventory, as a program other than the writer would.
func (b *bucket) overwrite(t *testing.T, key, data string) {
	t.Helper()
	_, err := b.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &b.name, Key: aws.String(inventoryPrefix + key),
		Body: strings.NewReader(data), ContentType: aws.String("application/json")})
	if err != nil {
		t.Fatal(err)
	}
}

// news writes a record into storeUS's inventory, so that there is a new segment to read.
func (w *world) news(ctx context.Context, n int) error {
	d, err := oci.ParseDigest(fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Append(nil, w.id, n))))
	if err != nil {
		return err
	}
	_, err = w.writers[storeUS].Apply(ctx, inventory.Record{Digest: d, Size: 1, Kind: inventory.Blob})
	return err
}

// unconditional keeps the server from answering 304.
func unconditional(r *http.Request) {
	r.Header.Del("If-None-Match")
	r.Header.Del("If-Modified-Since")
}

// length replaces an answer's body by data and sets its length.
func length(resp *http.Response, data []byte) {
	body(resp, strings.NewReader(string(data)))
	resp.ContentLength = int64(len(data))
	resp.Header.Set("Content-Length", fmt.Sprint(len(data)))
}

// half sends only the first half of the body, with a matching length.
func half(resp *http.Response) {
	data, _ := io.ReadAll(resp.Body)
	length(resp, data[:len(data)/2])
}

// rewritten publishes storeUS's inventory again with another time of writing. A writer would not do so: it refuses a
// bucket whose head is from the future.
func rewritten(shift time.Duration) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		head, err := write.New(w.buckets[storeUS], write.Options{Store: storeUS, TempDir: t.TempDir()}).Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again := *head
		again.Generation++
		again.WrittenAt = time.Now().Add(shift).UTC().Truncate(time.Second)
		text, err := again.Encode()
		if err != nil {
			t.Fatal(err)
		}
		w.buckets[storeUS].overwrite(t, inventory.HeadName, string(text))
	}
}

func then(strikes ...func(*testing.T, *world)) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		for _, strike := range strikes {
			strike(t, w)
		}
	}
}

func hasNews(t *testing.T, w *world) {
	if err := w.news(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
}

func inventoryFaults() []fault {
	held := func(n float64) func(*world, metrics) error {
		return func(_ *world, m metrics) error {
			return m.want(n, infinite, "ociproxy_inventory_held_digests", `candidate="`+storeUS+`"`)
		}
	}
	return []fault{
		{name: "object lost", strike: func(t *testing.T, w *world) { w.buckets[storeUS].lose(t, w.layer(1)) },
			sees: rises("ociproxy_inventory_denied_digests"), runtime: true},
		{name: "bucket wiped", strike: func(t *testing.T, w *world) { w.buckets[storeUS].wipe(t) }, sees: notBelieved(storeUS)},
		{name: "blobs wiped, inventory left", strike: func(t *testing.T, w *world) {
			for _, blob := range w.images[w.app()].Arch["amd64"].Blobs {
				w.buckets[storeUS].lose(t, blob.Digest)
			}
		}, sees: inventoryIs(storeUS, "doubted"), runtime: true},
		{name: "inventory gone", strike: func(t *testing.T, w *world) {
			if err := w.buckets[storeUS].Delete(t.Context(), inventory.HeadName); err != nil {
				t.Fatal(err)
			}
		}, sees: inventoryIs(storeUS, "gone"), unnoticed: true},
		{name: "inventory stale", strike: rewritten(-25 * time.Hour), sees: inventoryIs(storeUS, "stale"), unnoticed: true},
		{name: "inventory head truncated", strike: at(storeUS, misbehaviour{when: isHead, request: unconditional, response: half}),
			sees: inventoryFails(storeUS), unnoticed: true},
		{name: "inventory segment truncated", strike: then(at(storeUS, misbehaviour{when: isSegment, response: func(r *http.Response) { cut(r, 50) }}), hasNews),
			sees: inventoryFails(storeUS), unnoticed: true},
		{name: "inventory foreign", strike: func(t *testing.T, w *world) {
			w.buckets[storeUS].overwrite(t, inventory.HeadName, string(w.buckets[storeAz].read(t, inventory.HeadName)))
		}, sees: inventoryFails(storeUS), unnoticed: true},
		{name: "inventory of lower generation", strike: func(t *testing.T, w *world) {
			old := w.buckets[storeUS].read(t, inventory.HeadName)
			m, err := scrape(w.proxy.Admin)
			if err != nil {
				t.Fatal(err)
			}
			had := m.get("ociproxy_inventory_held_digests", `candidate="`+storeUS+`"`)
			hasNews(t, w)
			w.poll(t, "newer inventory read", held(had+1))
			w.buckets[storeUS].overwrite(t, inventory.HeadName, string(old))
		}, sees: inventoryFails(storeUS), unnoticed: true},
		{name: "inventory with a bad hash", strike: then(at(storeUS, misbehaviour{when: isSegment, response: flip}), hasNews),
			sees: inventoryFails(storeUS), unnoticed: true},
		{name: "inventory growing while read", strike: func(t *testing.T, w *world) {
			// Mirrors add to the inventory all the time. For three seconds each segment has more bytes than the head
			// said.
			start := time.Now()
			w.gates[storeUS].strike(misbehaviour{
				when: func(r *http.Request) bool { return isSegment(r) && time.Since(start) < 3*time.Second },
				response: func(r *http.Response) {
					data, _ := io.ReadAll(r.Body)
					length(r, append(data, make([]byte, 38)...))
				},
			})
			for n := 0; n < 20 || time.Since(start) < 6*time.Second; n++ {
				if err := w.news(t.Context(), n); err != nil {
					t.Fatal(err)
				}
			}
		}, sees: all(held(20), inventoryIs(storeUS, "current"), func(_ *world, m metrics) error {
			return m.want(0, 0, "ociproxy_inventory_failing", `candidate="`+storeUS+`"`)
		}), unnoticed: true},
		{name: "inventory hung", strike: at(storeUS, misbehaviour{when: isInventory, answer: mute}),
			sees: inventoryFails(storeUS), unnoticed: true},
		{name: "inventory answers 500", strike: at(storeUS, misbehaviour{when: isInventory, answer: status(500)}),
			sees: inventoryFails(storeUS), unnoticed: true},
		{name: "inventory is HTML with 200", strike: at(storeUS, misbehaviour{when: isInventory, answer: page}),
			sees: inventoryFails(storeUS), unnoticed: true},
		// The clock of a Go program cannot be changed from outside (it does not ask libc), and the tests must not
		// change the machine's clock. The proxy compares only one thing with the wall clock: when inventories were
		// written. So the tests move that time instead, by as much in the other direction.
		{name: "clock jumps forward", strike: rewritten(-30 * time.Hour), sees: inventoryIs(storeUS, "stale"), unnoticed: true},
		{name: "clock jumps back", strike: rewritten(30 * time.Hour), sees: inventoryFails(storeUS), unnoticed: true},
	}
}
