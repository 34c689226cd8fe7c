package ranges

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

// mmdb builds a database from records by CIDR.
func mmdb(t *testing.T, kind string, records map[string]mmdbtype.Map) []byte {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, IncludeReservedNetworks: true, RecordSize: 24})
	if err != nil {
		t.Fatal(err)
	}
	for cidr, rec := range records {
		_, n, err := net.ParseCIDR(cidr)
		if err == nil {
			err = w.Insert(n, rec)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func country(iso string) mmdbtype.Map { return mmdbtype.Map{"iso_code": mmdbtype.String(iso)} }

func at(lat, lon float64) mmdbtype.Map {
	return mmdbtype.Map{"latitude": mmdbtype.Float64(lat), "longitude": mmdbtype.Float64(lon)}
}

func asn(n uint32) mmdbtype.Map { return mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(n)} }

func TestGeoIP(t *testing.T) {
	dir := t.TempDir()
	city, asnFile, feed := filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "asn.mmdb"), filepath.Join(dir, "own.csv")
	for name, body := range map[string][]byte{
		city: mmdb(t, "GeoLite2-City", map[string]mmdbtype.Map{
			"192.0.2.0/25":      {"country": country("DE"), "location": at(52.5, 13.4)},
			"192.0.2.128/25":    {"country": country("FR")},
			"198.51.100.0/26":   {"registered_country": country("JP")},
			"198.51.100.64/26":  {"country": country("ZZ")},
			"198.51.100.128/26": {"country": country("NL"), "location": at(99, 0)},
			"198.51.100.192/26": {"country": country("NL"), "location": at(0, 0)},
			"203.0.113.0/24":    {"country": country("SE"), "location": at(59.3, 18.1)},
			"2001:db8::/32":     {"location": at(1.35, 103.8)},
		}),
		asnFile: mmdb(t, "GeoLite2-ASN", map[string]mmdbtype.Map{
			"192.0.2.0/26": asn(16509), "192.0.2.64/26": asn(64500), "198.18.0.0/24": asn(20473), "192.0.2.128/25": asn(64501),
			"203.0.113.0/24": asn(15169),
		}),
		feed: []byte("203.0.113.0/25,aws\n203.0.113.128/25,aws/us-east-1\n"),
	} {
		if err := os.WriteFile(name, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config.Ranges{
		Feeds: []config.Feed{{Provider: config.CSV, File: feed}},
		GeoIP: config.GeoIP{City: city, ASN: asnFile, Clouds: map[uint32]string{64500: "oracle"}},
	}
	r := mustNew(t, cfg, Options{})
	spot := func(lat, lon float64, country string) place.Spot {
		return place.Spot{Point: place.Point{Lat: lat, Lon: lon}, Country: country}
	}
	middle := func(code string) place.Spot { s, _ := place.CountrySpot(code); return s }
	virginia, _ := place.Embedded().Find(place.Place{Cloud: "aws", Region: "us-east-1"})
	for addr, want := range map[string]Client{
		"192.0.2.1":        {Place: place.Place{Cloud: "aws"}, Spot: spot(52.5, 13.4, "DE"), HasSpot: true, By: ByGeoIP},
		"::ffff:192.0.2.1": {Place: place.Place{Cloud: "aws"}, Spot: spot(52.5, 13.4, "DE"), HasSpot: true, By: ByGeoIP},
		"192.0.2.65":       {Place: place.Place{Cloud: "oracle"}, Spot: spot(52.5, 13.4, "DE"), HasSpot: true, By: ByGeoIP},
		"192.0.2.129":      {Spot: middle("FR"), HasSpot: true, By: ByGeoIP},
		"198.51.100.1":     {Spot: middle("JP"), HasSpot: true, By: ByGeoIP},
		"198.51.100.65":    {},
		"198.51.100.129":   {Spot: middle("NL"), HasSpot: true, By: ByGeoIP},
		"198.51.100.193":   {Spot: middle("NL"), HasSpot: true, By: ByGeoIP},
		"198.18.0.1":       {Place: place.Place{Cloud: "vultr"}, By: ByGeoIP},
		"2001:db8::1":      {Spot: spot(1.35, 103.8, ""), HasSpot: true, By: ByGeoIP},
		"8.8.8.8":          {},
		// A feed comes first. If the feed does not know the region, the city file gives the location.
		"203.0.113.1":   {Place: place.Place{Cloud: "aws"}, Spot: spot(59.3, 18.1, "SE"), HasSpot: true, By: ByFeed},
		"203.0.113.129": {Place: virginia.Place, Spot: virginia.Spot, HasSpot: true, By: ByFeed},
	} {
		got := r.Locate(netip.MustParseAddr(addr))
		got.Entry = nil
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", addr, d)
		}
	}
	if got := r.Locate(netip.Addr{}); got.By != "" {
		t.Errorf("the zero address: %+v", got)
	}
	expect(t, r, 1, "geoip-city file rows=")
	expect(t, r, 2, "geoip-asn file rows=")
}

// TestGeoIPReplaced checks that a new file is put in use, that a broken one is not, and that neither needs a restart.
func TestGeoIPReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "city.mmdb")
	clock := time.Now().Add(-time.Hour)
	write := func(body []byte) {
		t.Helper()
		clock = clock.Add(time.Second)
		next := path + ".new"
		if err := errors.Join(os.WriteFile(next, body, 0o600), os.Chtimes(next, clock, clock), os.Rename(next, path)); err != nil {
			t.Fatal(err)
		}
	}
	db := func(iso string) []byte {
		return mmdb(t, "GeoLite2-City", map[string]mmdbtype.Map{"192.0.2.0/24": {"country": country(iso)}})
	}
	r := mustNew(t, config.Ranges{GeoIP: config.GeoIP{City: path}}, Options{})
	expect(t, r, 0, "geoip-city none rows=0 failures=1")
	look := func(want string) {
		t.Helper()
		if got := r.Locate(netip.MustParseAddr("192.0.2.1")).Spot.Country; got != want {
			t.Errorf("country %q, want %q", got, want)
		}
	}
	look("")
	write(db("DE"))
	if err := r.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	look("DE")
	for name, broken := range map[string][]byte{
		"cut": db("FR")[:200], "garbage": []byte(strings.Repeat("x", 4096)), "empty": nil, "metadata only": db("FR")[len(db("FR"))-200:],
	} {
		write(broken)
		if err := r.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "feed geoip-city: get "+path) {
			t.Errorf("%s: %v", name, err)
		}
		look("DE")
	}
	if s := r.Status()[0]; s.Rows == 0 || s.Failures != 4 || s.From != "file" {
		t.Errorf("status %s", short(s))
	}
	write(db("FR"))
	if err := r.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	look("FR")
	expect(t, r, 0, "geoip-city file rows=")
}
