package buckets

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/internal/provision"
	"ociproxy/internal/store/address"
	"ociproxy/test/authority"
	"ociproxy/test/seaweedfs"
	"ociproxy/test/shop"
)

// put puts what the tests read, with the owner's rights.
func put(t testing.TB, client *awss3.Client, bucket string) {
	t.Helper()
	for _, key := range []string{shop.Key(shop.EmptyObject), "inventory/head.json", "private"} {
		_, err := client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("{}")})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// policyOf returns the policy of a bucket with only the statements of these ids.
func policyOf(t testing.TB, bucket string, ids ...string) string {
	t.Helper()
	at, err := address.Parse("s3://" + bucket + "?region=us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	text := provision.PolicyOf(at)
	if len(ids) == 0 {
		return text
	}
	head, rest, _ := strings.Cut(text, "[{")
	all := strings.Split(strings.TrimSuffix(rest, `}],"Version":"2012-10-17"}`), "},{\"Action\"")
	var some []string
	for i, one := range all {
		if i > 0 {
			one = `"Action"` + one
		}
		if slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(one, `"Sid":"`+id+`"`) }) {
			some = append(some, "{"+one+"}")
		}
	}
	if len(some) != len(ids) {
		t.Fatalf("%d of %d statements in %s", len(some), len(ids), text)
	}
	return head + "[" + strings.Join(some, ",") + `],"Version":"2012-10-17"}`
}

// policy puts the largest part of the bucket policy that versitygw understands, and sees it enforced.
func (v *versity) policy(t *testing.T) {
	bucket := "enforced"
	if _, err := v.client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	put(t, v.client, bucket)
	whole := policyOf(t, bucket)
	_, err := v.client.PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &bucket, Policy: &whole})
	if err == nil || !strings.Contains(err.Error(), "invalid condition key") {
		t.Errorf("versitygw now understands the complete policy (%v): enforce all of it here, and correct docs/creating-stores.md", err)
	}
	part := policyOf(t, bucket, "AnybodyReadsBlobsAndInventory", "OnlyOverTLS")
	if _, err := v.client.PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &bucket, Policy: &part}); err != nil {
		t.Fatalf("put %s: %v", part, err)
	}
	enforced(t, trusting(t, v.root), "https://"+v.tls+"/"+bucket+"/", "http://"+v.plain+"/"+bucket+"/")
}

// policyOnSeaweedFS puts the complete bucket policy. SeaweedFS does not know the keys s3:if-none-match and
// s3:ObjectCreationOperation of the third statement, which therefore forbids nothing there.
func policyOnSeaweedFS(t *testing.T, s *seaweedfs.Store, root *authority.Authority) {
	bucket := seaweedfs.Bucket
	put(t, s.Client(), bucket)
	whole := policyOf(t, bucket)
	if _, err := s.Client().PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &bucket, Policy: &whole}); err != nil {
		t.Fatalf("put %s: %v", whole, err)
	}
	enforced(t, trusting(t, root), s.TLS+"/"+bucket+"/", s.URL+"/"+bucket+"/")
}

// trusting returns a client that trusts an authority.
func trusting(t testing.TB, root *authority.Authority) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(root.Root)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// enforced fails the test unless a bucket with our policy lets strangers read blobs and inventory over TLS, and nothing
// else. Both URLs end in a slash.
func enforced(t testing.TB, client *http.Client, over, plain string) {
	t.Helper()
	shut(t, client, over, listS3)
	if got := stranger(t, client, http.MethodGet, over+"private"); got != http.StatusForbidden {
		t.Errorf("an object that is no blob: %d, want 403", got)
	}
	for _, path := range []string{shop.Key(shop.EmptyObject), "inventory/head.json", listS3} {
		if got := stranger(t, client, http.MethodGet, plain+path); got != http.StatusForbidden {
			t.Errorf("GET %s without TLS: %d, want 403", path, got)
		}
	}
	if got := stranger(t, client, http.MethodPut, plain+shop.Key("strange")); got != http.StatusForbidden {
		t.Errorf("PUT without TLS: %d, want 403", got)
	}
}
