package proxy

import (
	"fmt"
	"maps"
	"net/http"
	"testing"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	invwrite "ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
)

// counted returns the bytes and the dollars of each candidate's flows.
func (w *testWorld) counted(t *testing.T) (bytes, dollars map[string]float64) {
	t.Helper()
	families, err := w.server.metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	bytes, dollars = map[string]float64{}, map[string]float64{}
	for _, f := range families {
		into := map[string]map[string]float64{"ociproxy_redirected_bytes_total": bytes, "ociproxy_estimated_cost_dollars_total": dollars}[f.GetName()]
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if into != nil && l.GetName() == "candidate" {
					into[l.GetValue()] += m.Counter.GetValue()
				}
			}
		}
	}
	return bytes, dollars
}

// twoStores makes a world with two stores for all clients, va and cdn. Each publishes its inventory if inventories has
// one.
func twoStores(t *testing.T, inventories map[string]*inventorytest.Bucket) *testWorld {
	t.Helper()
	all := func(name string, rest string) string {
		if inventories[name] != nil {
			rest += fmt.Sprintf(`, inventory: {url: "%s/inventory/"}`, map[string]string{"va": "VA", "cdn": "CDN"}[name])
		}
		return rest + ", serves: [all]"
	}
	w := newWorld(t, "place: aws/us-east-1, serves: [aws]", all("va", "place: aws/us-east-1"),
		"cdn: cloudfront, serves: [internet]", all("cdn", "place: aws/eu-west-1"))
	for name, o := range map[string]*origin{"va": w.va, "cdn": w.cdn} {
		if b := inventories[name]; b != nil {
			o.mu.Lock()
			o.inventory = b
			o.mu.Unlock()
		}
	}
	if err := w.server.inventories.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func lists(t *testing.T, store string, size int64) *inventorytest.Bucket {
	t.Helper()
	bucket := &inventorytest.Bucket{}
	d, err := oci.ParseDigest(digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := invwrite.New(bucket, invwrite.Options{Store: store}).Apply(t.Context(), inventory.Record{Digest: d, Size: size, Kind: inventory.Blob}); err != nil {
		t.Fatal(err)
	}
	return bucket
}

// Whatever the store in Virginia reports about sizes, in answers and in its inventory, the numbers of the others must
// be the same as next to an honest store.
func TestOneStoresLiesLeaveTheNumbersOfOthers(t *testing.T) {
	lengths := []string{"4611686018427387904", "9223372036854775807", "1099511627775", "5000", "1", "0"}
	sizes := []int64{1<<40 - 2, 300 << 30, 5000, 1, 0}
	// pull makes requests of clients near each candidate and returns what is counted in the end.
	const sum = 7400 // bytes
	pull := func(t *testing.T, w *testWorld) (bytes, dollars map[string]float64) {
		for range 4 { // four of the largest length overflow an integer counter
			w.ask(t, another(), "GET /v2/a/blobs/"+digest) // va
			w.ask(t, gcpClient, "GET /v2/a/blobs/"+digest)
			w.ask(t, homeClient, "GET /v2/a/blobs/"+digest)
			w.ask(t, homeClient, "HEAD /v2/a/blobs/"+digest)
			w.ask(t, gcpClient, "GET /v2/b/blobs/"+digest, "Range: bytes=100-199")
		}
		others := func() float64 {
			bytes, dollars = w.counted(t)
			delete(bytes, "va")
			delete(dollars, "va")
			all := 0.0
			for b := range maps.Values(bytes) {
				all += b
			}
			return all
		}
		poll(t, fmt.Sprint("the others' numbers are ", sum), func() bool { return others() >= sum })
		others() // again: the last look may have read a cost before it was counted, and the bytes after it
		return bytes, dollars
	}
	for name, inventories := range map[string]func(t *testing.T, size int64) map[string]*inventorytest.Bucket{
		"HEAD":             nil,
		"alone":            func(t *testing.T, size int64) map[string]*inventorytest.Bucket { return buckets(t, size, -1) },
		"beside an honest": func(t *testing.T, size int64) map[string]*inventorytest.Bucket { return buckets(t, size, 1000) },
	} {
		var honest map[string]*inventorytest.Bucket
		lies := len(lengths)
		if inventories != nil {
			honest, lies = inventories(t, 1000), len(sizes)
		}
		want, wantDollars := pull(t, twoStores(t, honest))
		if want["us"] != 2200 || want["eu"] != 4100 || want["cdn"] != 1100 {
			t.Fatalf("%s: %v counted beside an honest store", name, want)
		}
		for i := range lies {
			t.Run(fmt.Sprint(name, " ", i), func(t *testing.T) {
				var hostile map[string]*inventorytest.Bucket
				says := lengths[i]
				if inventories != nil { // a store that contradicts its own list gets no more clients
					hostile, says = inventories(t, sizes[i]), fmt.Sprint(sizes[i])
				}
				w := twoStores(t, hostile)
				w.va.say(func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header().Set("Content-Length", says)
					rw.Header().Set("Content-Range", "bytes 0-0/"+says)
				})
				got, gotDollars := pull(t, w)
				if !maps.Equal(got, want) || !maps.EqualFunc(gotDollars, wantDollars, func(a, b float64) bool { return a-b < 1e-12 && b-a < 1e-12 }) {
					t.Errorf("got %v and $ %v, want %v and $ %v", got, gotDollars, want, wantDollars)
				}
				before, _ := w.counted(t)
				w.ask(t, another(), "GET /v2/a/blobs/"+digest)
				after, _ := w.counted(t)
				if before["va"] > after["va"] || after["va"] > 17*oci.MaxBlob {
					t.Errorf("its own counter went from %v to %v", before["va"], after["va"])
				}
			})
		}
	}
}

// buckets returns the inventories of va, and of cdn unless its size is negative.
func buckets(t *testing.T, va, cdn int64) map[string]*inventorytest.Bucket {
	t.Helper()
	all := map[string]*inventorytest.Bucket{"va": lists(t, "va", va)}
	if cdn >= 0 {
		all["cdn"] = lists(t, "cdn", cdn)
	}
	return all
}
