package place

import (
	"bytes"
	"strings"
	"testing"
)

// The test reads and checks every row of every table, as the first use does.
func TestEveryEmbeddedRow(t *testing.T) {
	r, err := readTables(files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMap(r.cables, r.prices, r.sites)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"aws": 42, "azure": 77, "gcp": 46, "oracle": 53, "digitalocean": 15, "linode": 43, "vultr": 33, "exoscale": 8}
	for cloud, n := range want {
		if got := len(m.clouds[cloud]); got != n {
			t.Errorf("%s has %d regions, want %d", cloud, got, n)
		}
	}
	if len(m.clouds) != len(want) {
		t.Errorf("clouds %v, want those of %v", m.Clouds(), want)
	}
	for _, s := range m.Sites() {
		if s.City == "" || s.Source == "" {
			t.Errorf("%s lacks a city or a source", s)
		}
		if middle, ok := CountrySpot(s.Country); !ok || middle.Km(s.Point) > 6000 {
			t.Errorf("%s is %.0f km from the middle of %s", s, middle.Km(s.Point), s.Country)
		}
	}
}

func TestCountries(t *testing.T) {
	if got := len(Countries()); got != 250 { // the 249 of ISO 3166-1, and Kosovo
		t.Errorf("%d countries", got)
	}
	for _, code := range Countries() {
		spot, ok := CountrySpot(code)
		if !ok || spot.Country != code || Continent(code) == "" {
			t.Errorf("country %s: %v, continent %q", code, spot, Continent(code))
		}
	}
	for _, code := range []string{"", "ZZ", "de"} {
		if _, ok := CountrySpot(code); ok || Continent(code) != "" {
			t.Errorf("%q is a country", code)
		}
	}
}

// Each case breaks one table. The error must name the fault and the table.
func TestSpoiledTables(t *testing.T) {
	for _, tc := range []struct{ file, old, new, want string }{
		{"countries", "DE,Germany,EU,51.2", "DE,Germany,EU,151.2", "latitude"},
		{"countries", "DE,Germany,EU", "DE,Germany,XX", "no continent"},
		{"countries", "DE,Germany", "AT,Germany", "twice"},
		{"countries", "DE,Germany", "Deu,Germany", "alpha-2"},
		{"countries", "code,name", "name,code", "want columns"},
		{"sources", "general,2026-11", "general,", "a date"},
		{"places", "ga,provider,aws,,aws-announces", "ga,provider,aws,,nowhere", "unknown source"},
		{"places", "ga,provider,aws-cn", "ga,provider,aws", "partition"},
		{"places", "ga,provider,aws,", "ga,heard,aws,", "confidence"},
		{"places", "-33.92,18.42", "-33.92,east", "invalid syntax"},
		{"hubs", "akl,NZ", "akl,", "lacks"},
		{"hubs", "-36.8", "-136.8", "latitude"},
		{"links", "ath,tlv", "ath,nix", "two known hubs"},
		{"links", "ath,tlv,", "ath,fra,", "one zone"},
		{"links", "ath,tlv,", "ath,tlv,far", "km"},
		{"links", "akl,lax,\nakl,syd,\n", "", "cannot be reached"},
		{"zones", "country,AE", "country,ZZ", "unknown country"},
		{"zones", "country,AE,GULF", "country,AE,MOON", "no hub"},
		{"zones", "country,AE", "planet,AE", "want country or continent"},
		{"zones", "country,AE,GULF", "country,AE,", "no zone"},
		{"prices", "8.5 50TiB", "x 50TiB", "no price"},
		{"prices", "10TiB:8.5", "8.5", "CENTS"},
		{"prices", "150TiB:", "15TiB:", "ascending"},
		{"prices", "linode,internet,,,GB,0.5", "linode,internet,,,GB,", "no price"},
		{"prices", "linode,internet,,,GB", "linode,internet,,,Gb", "unknown unit"},
		{"prices", "linode,internet,,,GB", "linode,internet,,,hour", "GB or GiB"},
		{"prices", "aws,internet,us-east-1,,GiB", "aws,internet,us-east-1,,GB", "other rows"},
		{"prices", "linode,internet", "linode,outernet", "unknown kind"},
		{"prices", "0.5,estimate", "0.5,sure", "confidence"},
		{"prices", "0.5,estimate,general", "0.5,estimate,hearsay", "unknown source"},
		{"prices", "linode,same-cloud", "linode,internet", "twice"},
		{"areas", "gcp,internet,to,china,,CN", "gcp,internet,to,china,,ZZ", "unknown country"},
		{"areas", "gcp,internet,to,china", "gcp,internet,to,moon", "has no price"},
		{"areas", "gcp,internet,to,china", "gcp,internet,at,china", "side"},
		{"areas", "gcp,internet,to,china", "gcp,cdn,to,china", "no prices"},
	} {
		t.Run(tc.file+" "+tc.want, func(t *testing.T) {
			hit := false
			_, err := readTables(func(name string) ([]byte, error) {
				body, err := files.ReadFile(name)
				if name == "data/"+tc.file+".csv" {
					hit = bytes.Contains(body, []byte(tc.old))
					body = bytes.Replace(body, []byte(tc.old), []byte(tc.new), 1)
				}
				return body, err
			})
			if !hit {
				t.Fatalf("%s.csv has no %q to spoil", tc.file, tc.old)
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.file+".csv") {
				t.Errorf("error %v, want one of %s.csv with %q", err, tc.file, tc.want)
			}
		})
	}
}
