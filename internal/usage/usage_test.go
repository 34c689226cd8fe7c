package usage_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/ranges"
	"ociproxy/internal/traffic"
	"ociproxy/internal/usage"
)

const hex = "b76ac3f5a4d1b1a7a0ddda5a2f24c7e0c9c0b3f2f3bb3b4ae2b4e1d6c50c3a11"

const world = `
version: 1
location: aws/eu-central-1
upstreams:
  - {name: main, url: "https://registry.example.org", place: gcp/us-central1, canonical: true}
stores:
  - name: s3-fra
    place: aws/eu-central-1
    url: "https://layers-fra.s3.dualstack.eu-central-1.amazonaws.com/containers/images/{digest}"
    owner: "111122223333"
    serves: [aws]
  - name: s3-shared
    place: aws/us-east-1
    url: "https://shared.s3.dualstack.us-east-1.amazonaws.com/team/containers/images/{digest}"
    bucket: "s3://shared/team?region=us-east-1"
    serves: [aws]
  - name: gcs
    place: gcp/europe-west1
    url: "https://storage.googleapis.com/layers-gcs/containers/images/{digest}"
    serves: [gcp]
  - name: az
    place: azure/westeurope
    url: "https://layersaz.blob.core.windows.net/images/containers/images/{digest}"
    serves: [azure]
  - name: cdn
    cdn: cloudfront
    url: "https://cdn.example.org/containers/images/{digest}"
    check: "https://layers-origin.s3.dualstack.us-east-1.amazonaws.com/containers/images/{digest}"
    serves: [internet]
  - name: fast
    cdn: fastly
    url: "https://fast.example.org/containers/images/{digest}"
    check: "https://layers-fra.s3.dualstack.eu-central-1.amazonaws.com/containers/images/{digest}"
    serves: [internet]
ranges:
  overrides:
    - {cidr: 203.0.113.0/24, place: aws/eu-central-1}
    - {cidr: 198.51.100.0/24, place: gcp/us-central1}
    - {cidr: "2001:db8::/32", place: azure/westeurope}
`

func parse(t testing.TB) *config.Config {
	t.Helper()
	cfg, err := config.Parse("world.yaml", []byte(world))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func classifier(t testing.TB, opt usage.Options) *usage.Classifier {
	t.Helper()
	cfg := parse(t)
	where, err := ranges.New(cfg.Ranges, cfg.Map(), ranges.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := usage.New(cfg, where, opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// These make lines in the layouts of the providers.

func s3(bucket, client, requester, operation, status, sent, agent string) string {
	return fmt.Sprintf(`own3r %s [12/Dec/2026:08:15:42 +0000] %s %s ID %s containers/images/sha256%%253A%s "GET /x HTTP/1.1" %s - %s 9000 1 1 "-" "%s" - h - - - host TLSv1.3 - -`,
		bucket, client, requester, operation, hex, status, sent, agent)
}

func gcs(client, operation, status, sent, agent, bucket string) string {
	return fmt.Sprintf(`"1797063342123456","%s","1","","GET","/containers/images/sha256:%s","%s","0","%s","1","h","","%s","ID","%s","%s","containers/images/sha256:%s"`,
		client, hex, status, sent, agent, operation, bucket, hex)
}

func azure(client, operation, status, sent, agent, identity string) string {
	return fmt.Sprintf(`{"time":"2026-12-12T08:15:42Z","category":"StorageRead","operationName":"%s","statusCode":%s,"callerIpAddress":"%s","correlationId":"ID","identity":%s,"properties":{"accountName":"layersaz","objectKey":"/layersaz/images/containers/images/sha256:%s","responseBodySize":%s,"userAgentHeader":"%s"},"uri":"https://layersaz.blob.core.windows.net:443/images/x"}`,
		operation, status, client, identity, hex, sent, agent)
}

func front(host, client, path, status string) string {
	return fmt.Sprintf("2026-12-12\t08:15:42\tFRA\t5000\t%s\tGET\t%s\t%s\t%s\t-\tcontainerd\t-\t-\tHit\tID\t%s", client, host, path, status, host)
}

func proxied(kind, more string) string {
	return fmt.Sprintf(`{"time":"2026-12-12T08:15:42Z","msg":"request","kind":"%s","name":"team/app","reference":"sha256:%s",%s}`, kind, hex, more)
}

// TestClassify: what each kind of line counts for.
func TestClassify(t *testing.T) {
	c := classifier(t, usage.Options{
		Own: []string{"arn:aws:sts::999:assumed-role/mirror/*"}, Hosts: map[string]string{"D000.cloudfront.net": "cdn"},
	})
	const anonymous, blob = `{"type":"Anonymous"}`, "/containers/images/sha256:" + hex
	const user, get = "arn:aws:iam::5:user/a", "REST.GET.OBJECT"
	for _, tt := range []struct{ what, line, want string }{
		{"a client", s3("layers-fra", "203.0.113.9", "-", get, "200", "4096", "x"), "s3-fra client get aws/eu-central-1 4096 blob"},
		{"a part", s3("layers-fra", "198.51.100.9", "-", get, "206", "100", "x"), "s3-fra client get gcp/us-central1 100 blob"},
		{"a cut download", s3("layers-fra", "198.51.100.9", "-", get, "200", "-", "x"), "s3-fra client get gcp/us-central1 0 blob"},
		{"HEAD", s3("layers-fra", "203.0.113.9", "-", "REST.HEAD.OBJECT", "200", "-", "x"), "s3-fra client head aws/eu-central-1 0 blob"},
		{"an endpoint", s3("layers-fra", "10.1.2.3", "-", get, "200", "9000", "x"), "s3-fra endpoint get aws/eu-central-1 9000 blob"},
		{"a client elsewhere", s3("layers-fra", "192.0.2.9", "-", get, "200", "9000", "x"), "s3-fra client get  9000 blob"},
		{"no address", s3("layers-fra", "-", "-", get, "200", "9000", "x"), "s3-fra endpoint get aws/eu-central-1 9000 blob"},
		{"the proxy's HEAD", s3("layers-fra", "203.0.113.9", "-", "REST.HEAD.OBJECT", "200", "-", "oci-proxy"), "s3-fra own head aws/eu-central-1 0 blob"},
		{"the owner's account", s3("layers-fra", "203.0.113.9", "arn:aws:iam::111122223333:user/a", get, "200", "1", "x"), "s3-fra own get aws/eu-central-1 1 blob"},
		{"a named principal", s3("layers-fra", "203.0.113.9", "arn:aws:sts::999:assumed-role/mirror/7", get, "200", "1", "x"), "s3-fra own get aws/eu-central-1 1 blob"},
		{"a stranger who signs", s3("layers-fra", "203.0.113.9", user, get, "200", "1", "x"), "s3-fra client get aws/eu-central-1 1 blob"},
		{"an upload", s3("layers-fra", "203.0.113.9", user, "REST.PUT.PART", "200", "-", "x"), "s3-fra own put aws/eu-central-1 0 blob"},
		{"our list", s3("layers-fra", "203.0.113.9", user, "REST.GET.BUCKET", "200", "900", "x"), "s3-fra own list aws/eu-central-1 900 blob"},
		{"a copy", s3("layers-fra", "203.0.113.9", user, "REST.COPY.OBJECT", "200", "200", "x"), "s3-fra copy copy aws/eu-central-1 200 blob"},
		{"the read of a copy", s3("layers-fra", "203.0.113.9", user, "REST.COPY.OBJECT_GET", "200", "500", "x"), "s3-fra copy other aws 500 blob"},
		{"replication of an object to a bucket of another region", s3("layers-fra", "-", "arn:aws:sts::5:assumed-role/r/s3-replication", "REST.GET.OBJECT", "200", "500", "x"), "s3-fra copy get aws 500 blob"},
		{"replication", s3("layers-fra", "-", "arn:aws:sts::5:assumed-role/r/s3-replication", "REST.PUT.OBJECT", "200", "-", "x"), "s3-fra copy put aws/eu-central-1 0 blob"},
		{"expiry", s3("layers-fra", "-", "AmazonS3", "S3.EXPIRE.OBJECT", "-", "-", "-"), "s3-fra lifecycle delete aws/eu-central-1 0 blob"},
		{"CloudFront", s3("layers-fra", "-", "svc:cloudfront.amazonaws.com", get, "200", "9000", "-"), "s3-fra origin get aws/eu-central-1 9000 blob"},
		{"the bucket of a CDN alone", s3("layers-origin", "192.0.2.1", "-", get, "200", "9000", "x"), "cdn origin get  9000 blob"},
		{"our check behind a CDN", s3("layers-origin", "192.0.2.1", "-", "REST.HEAD.OBJECT", "200", "-", "oci-proxy"), "cdn own head  0 blob"},
		{"a stranger's list", s3("layers-fra", "192.0.2.1", "-", "REST.GET.BUCKET", "403", "243", "x"), "refused status 403"},
		{"another region of S3", s3("layers-fra", "192.0.2.1", "-", get, "307", "243", "x"), "refused status 307"},
		{"an error of S3", s3("layers-fra", "192.0.2.1", "-", get, "503", "243", "x"), "refused status 503"},
		{"nothing there", s3("layers-fra", "192.0.2.1", "-", get, "404", "243", "x"), "s3-fra client get  243 blob"},
		{"a foreign bucket", s3("someone-else", "192.0.2.1", "-", get, "200", "1", "x"), "foreign-bucket someone-else"},
		{"foreign keys", s3("shared", "192.0.2.1", "-", get, "200", "1", "x"), "foreign-bucket shared/"},

		{"Google", gcs("198.51.100.1", "GET_Object", "200", "4096", "x", "layers-gcs"), "gcs client get gcp/us-central1 4096 blob"},
		{"Google's own network", gcs("gce-internal-ip", "GET_Object", "206", "50", "x", "layers-gcs"), "gcs endpoint get gcp/europe-west1 50 blob"},
		{"Google's CDN", gcs("192.0.2.1", "GET_Object", "200", "50", "Cloud-CDN-Google", "layers-gcs"), "gcs origin get  50 blob"},
		{"an upload to Google", gcs("192.0.2.1", "storage.objects.insert", "200", "50", "x", "layers-gcs"), "gcs own put  50 blob"},
		{"Google's lifecycle", gcs("", "DELETE_Object", "", "0", "GCS Lifecycle Management", "layers-gcs"), "gcs lifecycle delete gcp/europe-west1 0 blob"},
		{"an error of Google", gcs("192.0.2.1", "GET_Object", "404", "50", "x", "layers-gcs"), "refused status 404"},
		{"S3's name is not Google's", gcs("192.0.2.1", "GET_Object", "200", "50", "x", "layers-fra"), "foreign-bucket layers-fra"},

		{"Azure", azure("[2001:db8::1]:443", "GetBlob", "200", "4096", "x", anonymous), "az client get azure/westeurope 4096 blob"},
		{"Azure's network", azure("10.0.0.4:5", "GetBlob", "200", "4096", "x", anonymous), "az endpoint get azure/westeurope 4096 blob"},
		{"a shared address", azure("100.64.0.4:5", "GetBlob", "200", "4096", "x", anonymous), "az endpoint get azure/westeurope 4096 blob"},
		{"an upload to Azure", azure("192.0.2.1:5", "PutBlockList", "201", "0", "x", `{"type":"OAuth","requester":{"objectId":"o"}}`), "az own put  0 blob"},
		{"the read of a copy at Azure", azure("192.0.2.1:5", "CopyBlobSource", "200", "0", "x", `{"type":"OAuth"}`), "az copy other azure 0 blob"},
		{"Azure's lifecycle", azure("", "DeleteBlob", "202", "0", "OLCMScanner", `{"type":"TrustedAccess"}`), "az lifecycle delete azure/westeurope 0 blob"},
		{"Azure does not say", azure("192.0.2.1:5", "GetBlob", "200", `""`, "x", anonymous), "az client get  0 blob unsized"},

		{"a CDN", front("cdn.example.org", "203.0.113.1", blob, "200"), "cdn client get aws/eu-central-1 5000 blob"},
		{"its own name", front("d000.cloudfront.net", "203.0.113.1", blob, "206"), "cdn client get aws/eu-central-1 5000 blob"},
		{"no blob", front("cdn.example.org", "10.0.0.1", "/favicon.ico", "404"), "cdn client get  5000"},
		{"another CDN", front("d111.cloudfront.net", "203.0.113.1", blob, "200"), "foreign-host d111.cloudfront.net"},

		{"a redirect", proxied("blob", `"method":"GET","status":307,"weight":10,"client":"203.0.113.0/24","place":"aws/us-east-1","candidate":"s3-fra","reason":"nearest","bytes":500,"size":9000`), "s3-fra client get aws/us-east-1 5000 blob nearest team/app ×10"},
		{"a cloud", proxied("blob", `"method":"GET","status":307,"client":"203.0.113.0/24","place":"aws","candidate":"s3-fra","reason":"nearest","bytes":1`), "s3-fra client get aws 1 blob nearest team/app"},
		{"a redirect of old", proxied("blob", `"method":"GET","status":307,"client":"203.0.113.9","place":"aws/us-east-1","candidate":"main","reason":"nearest","bytes":500`), "main client get aws/eu-central-1 500 blob nearest team/app"},
		{"HEAD at the proxy", proxied("blob", `"method":"HEAD","status":307,"client":"203.0.113.9","candidate":"s3-fra","reason":"nearest","size":9000`), "s3-fra client head aws/eu-central-1 0 blob nearest team/app"},
		{"no size", proxied("blob", `"method":"GET","status":307,"client":"203.0.113.9","candidate":"main","reason":"nearest"`), "main client get aws/eu-central-1 0 blob nearest team/app unsized"},
		{"refused", proxied("blob", `"method":"GET","status":403`), "refused status 403"},
		{"a manifest", proxied("manifest", `"method":"GET","status":307,"candidate":"main"`), "not-a-blob"},
		{"a probe", proxied("blob", `"method":"GET","status":307,"probe":"accepted","candidate":"s3-fra"`), "probe"},
		{"a store of yesterday", proxied("blob", `"method":"GET","status":307,"candidate":"s3-old"`), "unknown-store s3-old"},
	} {
		var left usage.Left
		got := ""
		var r accesslog.Reader
		err := r.Read(t.Context(), tt.what, strings.NewReader(tt.line), func(rec *accesslog.Record) error {
			got = show(t, c, rec, &left)
			return nil
		})
		if err != nil || r.Stats().Malformed > 0 || got != tt.want {
			t.Errorf("%s: %q, want %q; %v %+v", tt.what, got, tt.want, err, r.Stats().Faults)
		}
	}
}

func show(t *testing.T, c *usage.Classifier, rec *accesslog.Record, left *usage.Left) string {
	t.Helper()
	use, ok := c.Count(rec, left)
	if !ok {
		why := left.List()[0]
		return strings.TrimSpace(string(why.Reason) + " " + why.Name)
	}
	if use.Lines != 1 || use.Squares != use.Bytes*use.Bytes || use.Day.String() != "2026-12-12" {
		t.Errorf("%+v", use)
	}
	text := fmt.Sprintf("%s %s %s %s %.0f", use.Store, use.Class, use.Operation, use.Client, use.Bytes)
	if use.Digest == "sha256:"+hex {
		text += " blob"
	}
	if use.Source == traffic.FromProxy {
		text += " " + use.Reason + " " + use.Repository
	}
	if use.Requests != 1 {
		text += fmt.Sprintf(" ×%.0f", use.Requests)
	}
	if use.Unsized {
		text += " unsized"
		if l := left.List(); len(l) != 1 || l[0].Reason != usage.NoBytes || l[0].Name != use.Store {
			t.Errorf("%+v", l)
		}
	}
	return text
}

// Lines of one request are no duplicates of each other: a deletion of many objects, a copy within a store.
func TestRequestIDs(t *testing.T) {
	c := classifier(t, usage.Options{})
	ids := map[string]int{}
	for _, operation := range []string{"REST.COPY.OBJECT", "REST.COPY.OBJECT_GET", "REST.POST.MULTI_OBJECT_DELETE", "BATCH.DELETE.OBJECT", "REST.GET.OBJECT"} {
		var r accesslog.Reader
		line := s3("layers-fra", "203.0.113.9", "arn:aws:iam::5:user/a", operation, "200", "1", "x")
		err := r.Read(t.Context(), "log", strings.NewReader(line+"\n"+line), func(rec *accesslog.Record) error {
			use, _ := c.Classify(rec)
			ids[use.RequestID]++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) != 5 || ids["ID"] != 2 {
		t.Errorf("%v", ids)
	}
}

// everywhere is a table that has only one place.
type everywhere place.Place

// Locate implements [usage.Locator].
func (e everywhere) Locate(netip.Addr) ranges.Client { return ranges.Client{Place: place.Place(e)} }

// A CDN that does not say who it is, and whose bucket clients read too, is known by its addresses.
func TestCDNByAddress(t *testing.T) {
	c, err := usage.New(parse(t), everywhere{Cloud: "fastly"}, usage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]traffic.Class{
		s3("layers-fra", "192.0.2.1", "-", "REST.GET.OBJECT", "200", "1", "containerd"): traffic.Origin,
		front("fast.example.org", "192.0.2.1", "/x", "200"):                             traffic.Client,
	} {
		var r accesslog.Reader
		err := r.Read(t.Context(), "log", strings.NewReader(line), func(rec *accesslog.Record) error {
			if use, why := c.Classify(rec); use.Class != want {
				t.Errorf("%s: %s %v, want %s", line, use.Class, why, want)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// A log that says neither host nor bucket is that of the store that the operator names.
func TestNamedStore(t *testing.T) {
	for name, want := range map[string]string{"": "no-store", "fast": "fast client get  4096"} {
		c := classifier(t, usage.Options{Store: name})
		layout, err := accesslog.ParseLayout("tab: time client path sent weight")
		if err != nil {
			t.Fatal(err)
		}
		r := accesslog.Reader{Layout: layout}
		err = r.Read(t.Context(), "log", strings.NewReader("2026-12-12T08:15:42Z\t192.0.2.1\t/a\t1024\t4\n"), func(rec *accesslog.Record) error {
			use, why := c.Classify(rec)
			got := string(why.Reason)
			if got == "" {
				got = fmt.Sprintf("%s %s %s %s %.0f", use.Store, use.Class, use.Operation, use.Client, use.Bytes)
			}
			if got != want {
				t.Errorf("%q: %q, want %q", name, got, want)
			}
			return nil
		})
		if err != nil || r.Stats().Malformed > 0 {
			t.Errorf("%v %+v", err, r.Stats())
		}
	}
}

// Left has a bound, and keeps the first example.
func TestLeft(t *testing.T) {
	var a, b, all usage.Left
	for i := range 2000 {
		a.Add(usage.Why{Reason: usage.ForeignHost, Name: fmt.Sprint(i)}, &accesslog.Record{File: "log", Line: int64(i + 1), Sent: 10, Weight: 2})
	}
	for range 3 {
		b.Add(usage.Why{Reason: usage.ForeignHost, Name: "7"}, &accesslog.Record{File: "other", Line: 1, Sent: accesslog.Unknown, Weight: 1})
	}
	all.Merge(&a)
	all.Merge(&b)
	l := all.List()
	var lines int64
	var bytes float64
	for _, at := range l {
		lines += at.Lines
		bytes += at.Bytes
	}
	if len(l) > 600 || lines != 2003 || bytes != 40000 || l[0].Name != "(others)" || l[1].Lines != 4 || l[1].Example != "log:8" {
		t.Errorf("%d reasons, %d lines, %v bytes, %+v %+v", len(l), lines, bytes, l[0], l[1])
	}
}

// TestComplete: 98 % is enough, nothing is scaled.
func TestComplete(t *testing.T) {
	row := func(store string, day traffic.Day, class traffic.Class, source traffic.Source, n, bytes float64) traffic.Row {
		return traffic.Row{Key: traffic.Key{Store: store, Day: day, Class: class, Source: source}, Requests: n, Bytes: bytes}
	}
	log := usage.Totals([]traffic.Row{
		row("b", 2, traffic.Client, traffic.FromStore, 97, 990), row("a", 2, traffic.Client, traffic.FromStore, 50, 500),
		row("a", 2, traffic.Own, traffic.FromStore, 48, 480), row("a", 2, traffic.Client, traffic.FromProxy, 1000, 1e6),
		row("a", 1, traffic.Client, traffic.FromStore, 200, 200), row("a", 3, traffic.Client, traffic.FromStore, 1, 1),
	})
	var got []string
	for _, c := range usage.Compare(log, []usage.Total{
		{Store: "a", Day: 1, Requests: 100},
		{Store: "a", Day: 2, Requests: 100, Bytes: 1000},
		{Store: "b", Day: 2, Requests: 100},
		{Store: "c", Day: 2, Bytes: 5},
	}) {
		n, knownN := c.Requests()
		b, knownB := c.Bytes()
		got = append(got, fmt.Sprintf("%s %d: %.2f %v %.2f %v short=%v excess=%v", c.Store, c.Day, n, knownN, b, knownB, c.Short(), c.Excess()))
	}
	want := []string{
		"a 1: 2.00 true 0.00 false short=false excess=true",
		"a 2: 0.98 true 0.98 true short=false excess=false",
		"a 3: 0.00 false 0.00 false short=false excess=false",
		"b 2: 0.97 true 0.00 false short=true excess=false",
		"c 2: 0.00 false 0.00 true short=true excess=false",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestOptions: a name that no store has is an error.
func TestOptions(t *testing.T) {
	for _, opt := range []usage.Options{{Store: "none"}, {Hosts: map[string]string{"d1.cloudfront.net": "none"}}} {
		if _, err := usage.New(parse(t), nil, opt); err == nil || !strings.Contains(err.Error(), `"none"`) {
			t.Errorf("%+v: %v", opt, err)
		}
	}
}
