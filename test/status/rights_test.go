package status_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/probe"
	"ociproxy/internal/probe/status"
	"ociproxy/internal/store"
	"ociproxy/test/parts"
)

// statements returns those of a policy of deploy/permissions for a bucket.
func statements(t *testing.T, file, bucket string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts.Root(), "deploy", "permissions", file))
	if err != nil {
		t.Fatal(err)
	}
	var policy struct{ Statement []map[string]any }
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "BUCKET", bucket)), &policy); err != nil {
		t.Fatal(err)
	}
	return policy.Statement
}

// TestRights: with the policies of deploy/permissions, a probe can write the public status and nothing else, and people
// outside can read it and not list the bucket.
func TestRights(t *testing.T) {
	addr, gateway := parts.FreeAddr(t), parts.Find(t, "versitygw")
	parts.Start(t, parts.Spec{
		Path: gateway, Args: []string{"--quiet", "--port", addr, "--iam-dir", t.TempDir(), "--health", "/-/health", "posix", t.TempDir()},
		Env: []string{"ROOT_ACCESS_KEY=test", "ROOT_SECRET_KEY=test-secret"}, Ready: parts.HTTP("http://"+addr+"/-/health", 200), Abrupt: true,
	})
	parts.Run(t, parts.Ready, gateway, "admin", "--access", "test", "--secret", "test-secret", "--endpoint-url", "http://"+addr,
		"create-user", "--access", "writer", "--secret", "writer-secret", "--role", "user")
	owner := awss3.New(awss3.Options{
		BaseEndpoint: aws.String("http://" + addr), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test-secret", ""),
	})
	const bucket = "public-status"
	writer := statements(t, "aws-status-writer-policy.json", bucket)
	for _, s := range writer {
		s["Principal"] = map[string]any{"AWS": "writer"} // a policy of the bucket, because the server has none of users
	}
	policy, err := json.Marshal(map[string]any{
		"Version": "2012-10-17", "Statement": append(writer, statements(t, "aws-status-bucket-policy.json", bucket)...),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: aws.String(bucket), Policy: aws.String(string(policy))}); err != nil {
		t.Fatal(err)
	}
	b, err := store.Open(t.Context(), "s3://"+bucket+"?region=us-east-1&pathStyle=true&endpoint=http://"+addr, store.Options{Getenv: func(name string) string {
		return map[string]string{"AWS_ACCESS_KEY_ID": "writer", "AWS_SECRET_ACCESS_KEY": "writer-secret"}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}
	run := &probe.Report{Findings: []probe.Finding{{Check: "ping", As: probe.Self.Name, Result: judge.OK}}}
	for range 2 { // the second replaces what the first wrote
		w, err := status.New(status.Options{Bucket: b, Name: "registry.example.org", Vantage: "oslo", Every: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Record(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range status.Objects() {
		if code := anybody(t, "http://"+addr+"/"+bucket+"/"+key); code != http.StatusOK {
			t.Errorf("outsiders get %d for %s", code, key)
		}
	}
	if code := anybody(t, "http://"+addr+"/"+bucket); code != http.StatusForbidden {
		t.Errorf("outsiders get %d for the list of the bucket", code)
	}
	for key := range b.List(t.Context(), "status-check/", "") {
		t.Errorf("a test of the bucket stayed: %s", key.Key)
	}
	if _, err := b.Put(t.Context(), "other.html", store.Bytes([]byte("x")), store.Header{}, ""); !errors.Is(err, store.ErrDenied) {
		t.Errorf("the probe may write other objects: %v", err)
	}
	if err := b.Delete(t.Context(), status.PageKey, ""); !errors.Is(err, store.ErrDenied) {
		t.Errorf("the probe may delete the page: %v", err)
	}
}

// anybody asks without credentials.
func anybody(t *testing.T, url string) (code int) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
