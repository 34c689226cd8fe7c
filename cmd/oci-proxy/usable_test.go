package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"ociproxy/internal/check"
	"ociproxy/internal/config"
	"ociproxy/internal/route"
	"ociproxy/internal/set"
	"ociproxy/internal/snapshot"
)

// certificate CERT KEY makes a self-signed pair.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certificate CERT KEY")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	self := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"registry.example.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, self, self, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	for i, b := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: private}} {
		ts.Check(os.WriteFile(ts.MkAbs(args[i]), pem.EncodeToMemory(b), 0o600))
	}
}

func TestCandidateLimitIsRouting(t *testing.T) {
	if config.MaxCandidates != set.Max {
		t.Errorf("a config may have %d candidates, routing takes %d", config.MaxCandidates, set.Max)
	}
}

// TestServedAsRouted guards against a bug: check, the warnings and the server disagreed about which clients use the
// internet stores. A store in state off was still counted, and the clouds that an upstream serves were not.
func TestServedAsRouted(t *testing.T) {
	mixed := filepath.Join(t.TempDir(), "mixed.yaml")
	err := os.WriteFile(mixed, []byte(`version: 1
upstreams:
- {name: main, url: "https://r.example", place: aws/us-east-1, canonical: true}
- {name: more, url: "https://m.example", place: aws/us-east-2, serves: [vultr]}
- {name: idle, url: "https://i.example", place: linode/us-east, serves: [digitalocean], state: off}
stores:
- {name: on, place: gcp/us-central1, serves: [gcp, internet], url: "https://a.example/{digest}"}
- {name: gone, place: oracle/us-ashburn-1, serves: [oracle], url: "https://b.example/{digest}", state: off}
- {name: soon, place: azure/westeurope, serves: [azure], url: "https://c.example/{digest}", state: filling}
- {name: any, cdn: cloudfront, serves: [all], url: "https://d.example/{digest}"}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	examples, _ := filepath.Glob("../../examples/*.yaml")
	for _, file := range append(examples, mixed) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			cfg, err := config.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			snap, err := snapshot.Of(cfg)
			if err != nil {
				t.Fatal(err)
			}
			served := cfg.Served()
			for _, s := range check.ServingOf(cfg) {
				cloud := s.Cloud
				if cloud == check.Unknown {
					cloud = ""
				}
				want := snap.Served(cloud)
				if got := slices.Contains(served, cloud); got != want || s.Internet == want {
					t.Errorf("%q: served %v in routing, %v in the config; internet %v in check", cloud, want, got, s.Internet)
				}
				var stores []string
				for i, c := range snap.Candidates {
					if c.Kind == route.Store && c.Active && snap.Serves(i, cloud) {
						stores = append(stores, c.Name)
					}
				}
				if diff := cmp.Diff(stores, s.Stores, cmp.Transformer("empty", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
					t.Errorf("stores of %q (-routing +check)\n%s", cloud, diff)
				}
			}
		})
	}
}
