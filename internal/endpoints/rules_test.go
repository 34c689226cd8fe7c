package endpoints

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRules(t *testing.T) {
	l := New([]Endpoint{
		{Host: "registry.example.org", Port: 443, Kind: Registry},
		{Host: "s3.example.com", Port: 443, Kind: Store, Bucket: "arn:aws:s3:::b-two", Objects: "x/"},
		{Host: "s3.example.com", Port: 443, Kind: Store, Bucket: "arn:aws:s3:::b-one"},
		{Host: "s3.example.com", Port: 8443, Kind: Redirect},
		{Host: "2001:db8::1", Port: 8443, Kind: Store},
		{Host: "*.blobs.example.net", Port: 443, Kind: Wildcard},
		{Host: "a.blobs.example.net", Port: 443, Kind: Store},
		{Host: "blobs.example.net", Port: 443, Kind: Store}, // Squid's .blobs.example.net covers it too
		{Host: "*.deep.blobs.example.net", Port: 443, Kind: Redirect},
		{Host: "xblobs.example.net", Port: 443, Kind: Store},
	}, 0)
	want := []string{
		"*.blobs.example.net", "*.deep.blobs.example.net", "[2001:db8::1]:8443", "a.blobs.example.net", "blobs.example.net", "registry.example.org",
		"s3.example.com", "s3.example.com:8443", "xblobs.example.net",
	}
	if diff := cmp.Diff(want, l.Addresses()); diff != "" {
		t.Errorf("addresses (-want +got)\n%s", diff)
	}
	want = []string{".blobs.example.net", "2001:db8::1", "registry.example.org", "s3.example.com", "xblobs.example.net"}
	if diff := cmp.Diff(want, l.Squid()); diff != "" {
		t.Errorf("squid (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]uint16{8443}, l.OtherPorts()); diff != "" {
		t.Errorf("other ports (-want +got)\n%s", diff)
	}
	policy, err := l.Policy()
	if err != nil {
		t.Fatal(err)
	}
	const wanted = `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "ReadRegistryBlobs",
      "Effect": "Allow",
      "Principal": "*",
      "Action": "s3:GetObject",
      "Resource": [
        "arn:aws:s3:::b-one/*",
        "arn:aws:s3:::b-two/x/*"
      ]
    }
  ]
}
`
	if diff := cmp.Diff(wanted, string(policy)); diff != "" {
		t.Errorf("policy (-want +got)\n%s", diff)
	}
	if _, err := New(nil, 0).Policy(); !errors.Is(err, ErrNoBuckets) {
		t.Error(err)
	}
}
