// Package s3 runs versitygw, an S3 server over a directory, as a "region" with one publicly readable bucket.
//
// It knows the bucket's policy, the layout of blobs (store.BlobKey) and the access log. It must not know the proxy.
package s3

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ociproxy/test/parts"
)

const (
	bucket    = "blobs"
	prefix    = "containers/images/"
	accessKey = "test"
	secretKey = "test-secret"
)

// Store is a running S3 server with its bucket.
type Store struct {
	Region string
	Addr   string // host:port, of the meter in front of it
	URL    string // of a blob, with {digest}, for the proxy's config

	client *awss3.Client
	meter  *meter
	log    string
	root   string // of the buckets
}

// Start starts an empty store.
func Start(t testing.TB, region string) *Store {
	t.Helper()
	return start(t, region)
}

// StartTLS starts an empty store that clients reach by HTTPS, with a certificate and its key, both files.
func StartTLS(t testing.TB, region, cert, key string) *Store {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, region, certificate)
}

func start(t testing.TB, region string, certificates ...tls.Certificate) *Store {
	t.Helper()
	addr := parts.FreeAddr(t)
	m := newMeter(t, addr, certificates...)
	s := &Store{Region: region, Addr: m.Listener.Addr().String(), URL: m.URL + "/" + bucket + "/" + prefix + "{digest}",
		meter: m, log: filepath.Join(t.TempDir(), "access.log"), root: t.TempDir()}
	parts.Start(t, parts.Spec{
		Path: parts.Find(t, "versitygw"),
		Args: []string{"--quiet", "--port", addr, "--region", region, "--access-log", s.log, "--health", "/-/health",
			"posix", s.root},
		Env:   []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey},
		Ready: parts.HTTP("http://"+addr+"/-/health", 200),
		// After SIGTERM it waits for idle connections.
		Abrupt: true,
	})
	s.client = awss3.New(awss3.Options{
		BaseEndpoint: aws.String("http://" + addr), Region: region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	s.Make(t, bucket)
	return s
}

// Make makes another bucket with the same rights.
func (s *Store) Make(t testing.TB, bucket string) {
	t.Helper()
	_, err := s.client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String(bucket)})
	if err != nil {
		t.Fatal(err)
	}
	// As in production, anonymous clients may read objects, but not list them.
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",` +
		`"Resource":"arn:aws:s3:::` + bucket + `/*"}]}`
	_, err = s.client.PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: aws.String(bucket), Policy: &policy})
	if err != nil {
		t.Fatal(err)
	}
}

// Client returns a client with the owner's rights. It talks to the server directly, not through the meter.
func (s *Store) Client() *awss3.Client { return s.client }

// File returns the file in which the server keeps an object, for tests that damage it without the server noticing.
func (s *Store) File(bucket, key string) string { return filepath.Join(s.root, bucket, key) }

// Backend returns the address (host:port) of the server itself, not of the meter.
func (s *Store) Backend() string {
	return strings.TrimPrefix(*s.client.Options().BaseEndpoint, "http://")
}

// BlobURL returns the address of a blob.
func (s *Store) BlobURL(digest string) string { return strings.Replace(s.URL, "{digest}", digest, 1) }

// Put stores a blob as the mirror does (docs/mirroring.md): under its digest, unless it is there already, immutable for
// caches. It does not check the digest, so a test can store wrong bytes.
func (s *Store) Put(t testing.TB, digest string, blob []byte) {
	t.Helper()
	sum := sha256.Sum256(blob)
	_, err := s.client.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String(prefix + digest), Body: bytes.NewReader(blob),
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:])), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		IfNoneMatch: aws.String("*"), ContentType: aws.String("application/octet-stream"),
		CacheControl: aws.String("public, max-age=31536000, immutable, no-transform"),
	})
	if err != nil {
		t.Fatalf("put %s into %s: %v", digest, s.Region, err)
	}
}

// PutFrom stores a blob that it reads from from, to the end.
func (s *Store) PutFrom(t testing.TB, digest string, from io.Reader) {
	t.Helper()
	blob, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(t, digest, blob)
}

// Cut breaks the connection of the next GET of the blob after that many bytes.
func (s *Store) Cut(digest string, after int64) {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	s.meter.cuts["/"+bucket+"/"+prefix+digest] = after
}

// Access is one line of the access log.
type Access struct {
	Operation string // GetObject, HeadObject, …
	Digest    string // of the blob; the complete key if it is not below the prefix
	Status    int
	Bytes     int64  // sent
	Requester string // "-" is anonymous
	Agent     string // its first word

	id string // of the request
}

// Mark returns the current end of the access log, for Since.
func (s *Store) Mark() int { return len(s.read()) }

// Since returns the requests after the mark whose answers have ended.
func (s *Store) Since(mark int) []Access {
	var list []Access
	for line := range strings.Lines(string(s.read()[mark:])) {
		access, err := parse(line)
		if err != nil {
			continue
		}
		if bytes, ok := s.meter.sent(access.id); ok {
			access.Bytes = bytes
			list = append(list, access)
		}
	}
	return list
}

func (s *Store) read() []byte {
	data, err := os.ReadFile(s.log)
	if err != nil {
		return nil
	}
	return data[:bytes.LastIndexByte(data, '\n')+1]
}

// parse reads a line of Amazon's server access log format:
// owner bucket [day time] address requester request operation key uri status error sent size total turnaround
// referrer agent …
func parse(line string) (Access, error) {
	f := strings.Fields(line)
	if len(f) < 18 {
		return Access{}, fmt.Errorf("short line %q", line)
	}
	status, err := strconv.Atoi(f[10])
	if err != nil {
		return Access{}, fmt.Errorf("status of %q: %w", line, err)
	}
	digest, _ := strings.CutPrefix(f[8], prefix)
	return Access{Operation: strings.TrimPrefix(f[7], "s3_"), Digest: digest, Status: status, Requester: f[5],
		Agent: f[17], id: f[6]}, nil
}
