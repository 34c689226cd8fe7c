package truth

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/internal/place"
	"ociproxy/internal/ranges"
	"ociproxy/test/azure"
	"ociproxy/test/count"
	"ociproxy/test/gcs"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
)

// where are the clients of a place: a network for each pull.
type where struct {
	name   string
	prefix netip.Prefix
	place  place.Place
}

var clients = []where{
	{"virginia", netip.MustParsePrefix("198.18.0.0/17"), place.Place{Cloud: "aws", Region: "us-east-1"}},
	{"belgium", netip.MustParsePrefix("2001:db8:100::/40"), place.Place{Cloud: "gcp", Region: "europe-west1"}},
	{"dublin", netip.MustParsePrefix("198.18.128.0/17"), place.Place{Cloud: "azure", Region: "northeurope"}},
	{"home", netip.MustParsePrefix("198.19.0.0/17"), place.Place{}},
	{"ireland", netip.MustParsePrefix("198.19.128.0/17"), place.Place{Cloud: "aws", Region: "eu-west-1"}},
}

// locator finds places as the config of the test says.
type locator struct{}

// Locate returns the place of an address.
func (locator) Locate(a netip.Addr) ranges.Client {
	for _, c := range clients {
		if c.prefix.Contains(a) {
			return ranges.Client{Place: c.place}
		}
	}
	return ranges.Client{}
}

// Names of the stores in the config.
const (
	storeS3, storeGCS, storeAzure, storeCDN, canonical = "s3-use1", "gs-usc1", "az-we", "cdn", "main"
	prefix                                             = "containers/images/"
)

// blob is content that all stores and canonical have.
type blob struct {
	digest string
	size   int64
	data   []byte
}

// world is a registry with stores of four providers, each behind a counting proxy.
type world struct {
	proxy  *proxy.Proxy
	stores map[string]*count.Store // by name; "cdn-origin" is the bucket behind the CDN
	small  []blob                  // configs and layers of a few KiB
	big    []blob                  // layers that downloads of break off
	client *http.Client            // follows no redirect
	day    atomic.Int64            // a time.Duration that is added to the clock of the stores' logs
}

// now is the clock of the stores.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.day.Load())) }

// endpoint is what an S3 bucket's log shows of clients in its own region that come through an endpoint: half of them do.
func endpoint(a netip.Addr) netip.Addr {
	if b := a.As16(); clients[0].prefix.Contains(a) && b[14]%2 == 1 {
		return netip.AddrFrom4([4]byte{10, 0, b[14], b[15]})
	}
	return a
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{stores: map[string]*count.Store{}}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 10 {
		size := int64(1<<10 + i*1500)
		if i >= 6 {
			size = 256<<10 + int64(i)
		}
		b := blob{size: size, data: make([]byte, size)}
		for at := 0; at+8 <= len(b.data); at += 8 {
			binary.LittleEndian.PutUint64(b.data[at:], rnd.Uint64())
		}
		b.digest = fmt.Sprintf("sha256:%x", sha256.Sum256(b.data))
		if i >= 6 {
			w.big = append(w.big, b)
		} else {
			w.small = append(w.small, b)
		}
	}
	w.startStores(t)
	main := registry.Start(t)
	for _, b := range w.blobs() {
		pushBlob(t, main, b)
	}
	w.startProxy(t, main)
	w.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return w
}

func (w *world) blobs() []blob { return append(append([]blob(nil), w.small...), w.big...) }

func (w *world) startStores(t *testing.T) {
	t.Helper()
	aws, google, microsoft := s3.Start(t, "us-east-1"), gcs.Start(t, "us-central1"), azure.Start(t)
	contents := map[string][]byte{}
	for _, b := range w.blobs() {
		aws.Put(t, b.digest, b.data)
		ask(t, http.MethodPost, google.URL+"/upload/storage/v1/b/"+gcs.Bucket+"/o?uploadType=media&name="+url.QueryEscape(prefix+b.digest), b.data, 200)
		contents[b.digest] = b.data
	}
	microsoftPut(t, microsoft, contents)
	below := func(url string) string { return strings.TrimSuffix(url, "{digest}") }
	for _, opt := range []count.Options{
		{Name: storeS3, Shape: "s3", Bucket: "blobs-use1", Region: "us-east-1", Backend: below(aws.URL), Seen: endpoint},
		{Name: storeGCS, Shape: "gcs", Bucket: "blobs-usc1", Host: "storage.googleapis.com", Region: "us-central1", Backend: below(google.BlobURL(gcs.Bucket))},
		{Name: storeAzure, Shape: "azure-table", Bucket: "blobs", Region: "westeurope", Backend: below(microsoft.BlobURL(azure.Container))},
		{Name: "cdn-origin", Shape: "s3", Bucket: "blobs-cdn", Region: "us-east-1", Backend: below(aws.URL)},
	} {
		opt.Now = w.now
		w.stores[opt.Name] = count.Start(t, prefix, opt)
	}
	w.stores[storeCDN] = count.Start(t, prefix, count.Options{Name: storeCDN, Shape: "cloudfront", Bucket: "d111111abcdef8", Host: "cdn.example.org",
		Now: w.now, Backend: below(w.stores["cdn-origin"].URL), Agent: "Amazon CloudFront", Forgets: 5})
}

func (w *world) startProxy(t *testing.T, main *registry.Registry) {
	t.Helper()
	var overrides proxy.List
	for _, c := range clients {
		if !c.place.IsZero() {
			overrides = append(overrides, proxy.Map{"cidr": c.prefix.String(), "place": c.place.String()})
		}
	}
	store := func(name, key, value, serves string, rid bool) proxy.Map {
		return proxy.Map{"name": name, key: value, "url": w.stores[name].URL, "serves": proxy.List{serves}, "insecure": true, "requestID": rid}
	}
	w.proxy = proxy.Start(t, proxy.Config{
		"client":    proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{"127.0.0.0/8"}}},
		"ranges":    proxy.Map{"overrides": overrides},
		"upstreams": proxy.List{proxy.Map{"name": canonical, "url": main.URL, "prefix": "p", "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores": proxy.List{
			store(storeS3, "place", "aws/us-east-1", "aws", true), store(storeGCS, "place", "gcp/us-central1", "gcp", false),
			store(storeAzure, "place", "azure/westeurope", "azure", true), store(storeCDN, "cdn", "cloudfront", "internet", true),
		},
		"limits": proxy.Map{"checkTimeout": "5s"},
		"log":    proxy.Map{"requests": 1, "client": "full"},
	})
}

// reportConfig is the config of the deployment that the logs are of: the stores have their public names.
const reportConfig = `version: 1
billing: {accounts: {ours: {stores: [s3-use1, gs-usc1, az-we, cdn], otherUsageTB: 5}}}
upstreams:
  - {name: main, url: "https://main.example.org", prefix: p, place: gcp/us-central1, canonical: true}
stores:
  - {name: s3-use1, place: aws/us-east-1, bucket: "s3://blobs-use1?region=us-east-1", serves: [aws],
     url: "https://blobs-use1.s3.us-east-1.amazonaws.com/containers/images/{digest}"}
  - {name: gs-usc1, place: gcp/us-central1, bucket: "gs://blobs-usc1", serves: [gcp],
     url: "https://storage.googleapis.com/blobs-usc1/containers/images/{digest}"}
  - {name: az-we, place: azure/westeurope, bucket: "azblob://registryblobs/blobs", serves: [azure],
     url: "https://registryblobs.blob.core.windows.net/blobs/containers/images/{digest}"}
  - {name: cdn, cdn: cloudfront, bucket: "s3://blobs-cdn?region=us-east-1", serves: [internet],
     url: "https://cdn.example.org/containers/images/{digest}"}
`

// pushBlob uploads a blob to a registry.
func pushBlob(t *testing.T, to *registry.Registry, b blob) {
	t.Helper()
	resp := ask(t, http.MethodPost, to.URL+"/v2/p/app/blobs/uploads/", nil, http.StatusAccepted)
	at, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	query.Set("digest", b.digest)
	at.RawQuery = query.Encode()
	ask(t, http.MethodPut, at.String(), b.data, http.StatusCreated)
}

func ask(t *testing.T, method, url string, body []byte, want int) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != want {
		t.Fatalf("%s %s: %s: %.300s", method, url, resp.Status, text)
	}
	return resp
}

func addrPort(a, b, c, d byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{a, b, c, d}), 40000)
}
