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
	"ociproxy/test/seaweedfs"
	"ociproxy/test/shop"
)

// TestPolicy puts the bucket policy, or the largest part of it that a server understands, and sees it enforced.
func TestPolicy(t *testing.T) {
	t.Run("versitygw", policyOnVersity)
	t.Run("seaweedfs", policyOnSeaweedFS)
}

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

func policyOnVersity(t *testing.T) {
	v := startVersity(t)
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
	pool := x509.NewCertPool()
	pool.AddCert(v.root.Root)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	over := "https://" + v.tls + "/" + bucket + "/"
	shut(t, client, over, listS3)
	if got := stranger(t, client, http.MethodGet, over+"private"); got != http.StatusForbidden {
		t.Errorf("an object that is no blob: %d, want 403", got)
	}
	plain := "http://" + v.plain + "/" + bucket + "/"
	for _, path := range []string{shop.Key(shop.EmptyObject), "inventory/head.json", listS3} {
		if got := stranger(t, client, http.MethodGet, plain+path); got != http.StatusForbidden {
			t.Errorf("GET %s without TLS: %d, want 403", path, got)
		}
	}
	if got := stranger(t, client, http.MethodPut, plain+shop.Key("strange")); got != http.StatusForbidden {
		t.Errorf("PUT without TLS: %d, want 403", got)
	}
}

func policyOnSeaweedFS(t *testing.T) {
	s := seaweedfs.Start(t, "us-east-1")
	put(t, s.Client(), seaweedfs.Bucket)
	bucket, whole := seaweedfs.Bucket, policyOf(t, seaweedfs.Bucket)
	if _, err := s.Client().PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &bucket, Policy: &whole}); err != nil {
		t.Errorf("put %s: %v", whole, err)
	}
	base := s.URL + "/" + bucket + "/"
	if got := stranger(t, http.DefaultClient, http.MethodGet, base+shop.Key(shop.EmptyObject)); got != http.StatusForbidden {
		t.Errorf("without TLS: %d, want 403", got)
	}
	part := policyOf(t, bucket, "AnybodyReadsBlobsAndInventory", "BlobsAreNeverReplaced")
	if _, err := s.Client().PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &bucket, Policy: &part}); err != nil {
		t.Fatal(err)
	}
	shut(t, http.DefaultClient, base, listS3)
}
