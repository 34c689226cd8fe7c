package test

import (
	"fmt"
	"net/http"
	"testing"

	"ociproxy/test/clients"
	"ociproxy/test/world"
)

// The metrics of a pull agree with the access logs: how many blobs and bytes went where, and that the proxy
// distinguished clients.
func TestMetricsOfAPull(t *testing.T) {
	f := newFixture(t, 10, 10<<10, 50<<10, 100<<10, 200<<10)
	clients.CranePull(t, f.At(world.Virginia)+"/library/app:v1", "linux/amd64")

	var stored int64
	blobs := f.img.Arch["amd64"].Blobs
	for i, blob := range blobs {
		if f.source(world.Virginia, i) == world.StoreUS {
			stored += blob.Size
		}
	}
	candidate, cloud, region := fmt.Sprintf("candidate=%q", world.StoreUS), `cloud="aws"`, `region="us-east-1"`
	for _, want := range []struct {
		name   string
		labels []string
		value  float64
	}{
		{"ociproxy_redirects_total", []string{candidate, cloud, region}, 3},
		{"ociproxy_redirected_bytes_total", []string{candidate, cloud, region}, float64(stored)},
		// A byte that stays in its region costs nothing.
		{"ociproxy_estimated_cost_dollars_total", []string{candidate, cloud, region}, 0},
		{"ociproxy_requests_total", []string{`kind="blob"`, `code="307"`}, float64(len(blobs))},
		{"ociproxy_requests_total", []string{`kind="tag"`, `code="307"`}, 1},
	} {
		if got := f.Proxy.Metric(t, want.name, want.labels...); got != want.value {
			t.Errorf("%s%v is %v, want %v", want.name, want.labels, got, want.value)
		}
	}

	// A part of a blob does not count as the complete blob.
	url := "http://" + f.At(world.Virginia) + "/v2/library/app/blobs/" + blobs[0].Digest
	do(t, http.MethodGet, url, http.Header{"Range": {"bytes=100-"}})
	do(t, http.MethodHead, url, nil)
	if got := f.Proxy.Metric(t, "ociproxy_redirected_bytes_total", candidate); got != float64(stored) {
		t.Errorf("%v bytes after a range and a HEAD, want %v as before", got, stored)
	}
	if got := f.Proxy.Metric(t, "ociproxy_client_address_total", `source="header"`); got == 0 {
		t.Error("no address came from the header")
	}
}
