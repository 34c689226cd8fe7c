package shop

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// Rot changes one byte of an object on the server's disk. The server's own checksums stay the same.
func (s *Shop) Rot(t testing.TB, digest string) {
	t.Helper()
	f, err := os.OpenFile(s.Server.File(s.S3Bucket, Key(digest)), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	one := []byte{0}
	if _, err := f.ReadAt(one, 10); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one, 10); err != nil {
		t.Fatal(err)
	}
}

// Put writes an object directly to the server.
func (s *Shop) Put(t testing.TB, key string, content []byte) {
	t.Helper()
	_, err := s.Server.Client().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &s.S3Bucket, Key: &key, Body: bytes.NewReader(content)})
	if err != nil {
		t.Fatal(err)
	}
}

// Encode gives an object a Content-Encoding, directly at the server. The object's bytes stay as they are.
func (s *Shop) Encode(t testing.TB, digest, encoding string) {
	t.Helper()
	key := Key(digest)
	there, err := s.Server.Client().GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &s.S3Bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Body.Close()
	content, err := io.ReadAll(there.Body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Server.Client().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &s.S3Bucket, Key: &key, Body: bytes.NewReader(content),
		ContentEncoding: &encoding}); err != nil {
		t.Fatal(err)
	}
}

// Remove deletes an object directly at the server.
func (s *Shop) Remove(t testing.TB, key string) {
	t.Helper()
	if _, err := s.Server.Client().DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &s.S3Bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
}

// List returns the keys that begin with a prefix, read directly from the server.
func (s *Shop) List(t testing.TB, prefix string) (keys []string) {
	t.Helper()
	pages := awss3.NewListObjectsV2Paginator(s.Server.Client(), &awss3.ListObjectsV2Input{Bucket: &s.S3Bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	return keys
}

// Hide hides one object from the public. With key "", it makes all objects public again.
func (s *Shop) Hide(t testing.TB, key string) {
	t.Helper()
	arn := "arn:aws:s3:::" + s.S3Bucket + "/"
	statements := `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"` + arn + `*"}`
	if key != "" {
		statements += `,{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"` + arn + key + `"}`
	}
	_, err := s.Server.Client().PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &s.S3Bucket,
		Policy: aws.String(`{"Version":"2012-10-17","Statement":[` + statements + `]}`)})
	if err != nil {
		t.Fatal(err)
	}
}

// NothingWrong fails the test if the inventory lists an object that is missing, or whose content does not match its
// digest.
func (s *Shop) NothingWrong(t testing.TB) {
	t.Helper()
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Head(s.Base + "inventory/head.json")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return
	}
	for digest, size := range s.Inventory(t) {
		if err := s.Check(client, digest, size); err != nil {
			t.Errorf("%s lists what is not so: %v", s.Name, err)
		}
	}
}
