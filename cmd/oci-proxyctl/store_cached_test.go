package main

import (
	"bytes"
	"strings"
	"testing"

	"ociproxy/internal/config"
)

// TestCachedErrors: after an admission the operator of a CDN learns how to end the errors in its cache.
func TestCachedErrors(t *testing.T) {
	for cdn, want := range map[string]string{
		"":                 "",
		"wasabi":           "",
		"cloudfront":       "\n  aws cloudfront create-invalidation --distribution-id ID --paths '/containers/images/*' '/inventory/*'\n",
		"fastly":           "\n  fastly service purge --service-id ID --all\n",
		"google-cloud-cdn": "\n  gcloud compute url-maps invalidate-cdn-cache URL-MAP --host blobs.example.org --path '/inventory/*'\n",
		"other":            "purge /containers/images/* and /inventory/* of blobs.example.org.\n",
	} {
		var stderr bytes.Buffer
		a := &app{stderr: &stderr}
		a.tellCachedErrors(&config.Store{
			Name: "cdn", CDN: cdn, URL: "https://blobs.example.org/containers/images/{digest}",
			Inventory: config.Inventory{URL: "https://blobs.example.org/inventory/"},
		})
		if got := stderr.String(); !strings.HasSuffix(got, want) || want == "" && got != "" {
			t.Errorf("%q: %q, want %q at the end", cdn, got, want)
		}
	}
}
