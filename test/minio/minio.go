// Package minio runs MinIO, the second implementation of S3 the tests meet, with one bucket that anybody may read.
//
// What it does otherwise than Amazon: it knows no expected owner, lists the unfinished uploads of one key only, and deletes without
// looking at a condition.
package minio

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/test/parts"
)

// Bucket is the name of the first bucket.
const Bucket = "blobs"

const (
	accessKey = "test"
	secretKey = "test-secret"
)

// Store is a running server with its bucket.
type Store struct {
	Addr   string // host:port
	URL    string // http://host:port; an object is below /BUCKET/
	Region string

	client *awss3.Client
}

// Start starts an empty store.
func Start(t testing.TB, region string) *Store {
	t.Helper()
	s := &Store{Addr: parts.FreeAddr(t), Region: region}
	s.URL = "http://" + s.Addr
	parts.Start(t, parts.Spec{
		Path: parts.Find(t, "minio"),
		Args: []string{"server", "--quiet", "--address", s.Addr, t.TempDir()},
		Env: []string{"MINIO_UPDATE=off", "MINIO_BROWSER=off", "MINIO_ROOT_USER=" + accessKey, "MINIO_ROOT_PASSWORD=" + secretKey,
			"MINIO_SITE_REGION=" + region},
		Ready: parts.HTTP(s.URL+"/minio/health/cluster", 200),
	})
	s.client = awss3.New(awss3.Options{BaseEndpoint: &s.URL, Region: region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")})
	s.Make(t, Bucket)
	return s
}

// Make makes another bucket, whose objects may be read by anybody and listed by nobody.
func (s *Store) Make(t testing.TB, bucket string) {
	t.Helper()
	if _, err := s.client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],` +
		`"Resource":["arn:aws:s3:::` + bucket + `/*"]}]}`
	_, err := s.client.PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &bucket, Policy: aws.String(policy)})
	if err != nil {
		t.Fatal(err)
	}
}

// Client has the rights of the owner.
func (s *Store) Client() *awss3.Client { return s.client }

// BucketURL is what the configuration calls a bucket.
func (s *Store) BucketURL(bucket string) string {
	return "s3://" + bucket + "?region=" + s.Region + "&endpoint=" + s.URL + "&pathStyle=true"
}

// BlobURL is where clients find the blobs of a bucket, with {digest}: what the proxy's configuration takes.
func (s *Store) BlobURL(bucket string) string {
	return s.URL + "/" + bucket + "/containers/images/{digest}"
}

// Getenv is an environment with the credentials of the owner.
func (s *Store) Getenv(name string) string {
	return map[string]string{"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey}[name]
}
