package accesslogtest

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// requests are one of each kind.
func requests() []Request {
	base := Request{
		Time: time.Date(2026, 11, 30, 4, 0, 1, 234567800, time.UTC), Client: netip.MustParseAddrPort("192.0.2.3:40000"), Method: "GET",
		Host: "blobs.example.org", Bucket: "blobs", Key: "containers/images/sha256:ab", Status: 200, Sent: 1000, Heading: 400, Size: 1000,
		Took: 3 * time.Millisecond, Agent: "containerd/2.1 x", Region: "us-east-1",
	}
	var out []Request
	for _, change := range []func(r *Request){
		func(*Request) {},
		func(r *Request) {
			r.Range, r.Status, r.Sent, r.Query = "bytes=10-19", 206, 10, "x-rid=NXAJ7E3ZU3W2ZP6ZQYKQ3CSQLA"
		},
		func(r *Request) {
			r.Method, r.Sent, r.Client = "HEAD", 0, netip.MustParseAddrPort("[2001:db8::7]:40001")
		},
		func(r *Request) { r.Sent, r.Aborted = 300, true },
		func(r *Request) { r.Sent, r.Heading, r.Aborted = 0, 0, true },
		func(r *Request) { r.Client, r.Hit = netip.MustParseAddrPort("10.1.2.3:5000"), true },
		func(r *Request) { r.Client, r.Agent = netip.AddrPort{}, "" },
		func(r *Request) { r.Status, r.Sent, r.Size = 404, 200, -1 },
		func(r *Request) {
			r.Act, r.Method, r.Requester, r.Sent = Write, "PUT", "arn:aws:iam::123456789012:user/mirror", 0
		},
		func(r *Request) { r.Act, r.Key, r.Requester = List, "", "arn:aws:iam::123456789012:user/mirror" },
		func(r *Request) { r.Act, r.Requester = CopyFrom, "arn:aws:iam::123456789012:role/replication" },
		func(r *Request) { r.Act, r.Method, r.Client, r.Sent = Expire, "DELETE", netip.AddrPort{}, 0 },
	} {
		r := base
		change(&r)
		r.ID = string(rune('a' + len(out)))
		out = append(out, r)
	}
	return out
}

// The golden files were compared with the providers' samples by eye. Every reader of these formats must read them.
func TestShapes(t *testing.T) {
	for _, shape := range Shapes() {
		file, got := filepath.Join("testdata", shape.Name+".log"), shape.File(requests())
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", shape.Name, diff)
		}
	}
}
