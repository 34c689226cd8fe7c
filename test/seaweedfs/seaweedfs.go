// Package seaweedfs runs SeaweedFS, the second implementation of S3 in these tests, with one publicly readable bucket.
//
// Differences from Amazon: it reports no region and does not know an expected owner. So it does not refuse a bucket in
// a wrong region or of another owner; versitygw tests that.
//
// It also always listens on sockets in /tmp. No option prevents that.
package seaweedfs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
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
	TLS    string // https://host:port of the same objects; "" without TLS
	Region string

	client *awss3.Client
}

// Start starts an empty store: master, volume server, filer and S3 gateway in one process.
func Start(t testing.TB, region string) *Store {
	t.Helper()
	return start(t, region)
}

// StartTLS starts an empty store that clients reach by HTTP and by HTTPS, with a certificate and its key, both files.
func StartTLS(t testing.TB, region, cert, key string) *Store {
	t.Helper()
	addr := parts.FreeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, region, "-s3.port.https="+port, "-s3.cert.file="+cert, "-s3.key.file="+key)
	s.TLS = "https://" + addr
	return s
}

func start(t testing.TB, region string, more ...string) *Store {
	t.Helper()
	dir := t.TempDir()
	identities := filepath.Join(dir, "identities.json")
	text := fmt.Sprintf(`{"identities": [{"name": "owner", "credentials": [{"accessKey": %q, "secretKey": %q}], "actions": ["Admin"]}]}`, accessKey, secretKey)
	if err := os.WriteFile(identities, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	s := &Store{Region: region}
	args := []string{"-logtostderr=true", "server", "-dir=" + data, "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
		"-s3.config=" + identities, "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
		"-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=0", "-volume.preStopSeconds=0"}
	args = append(args, more...)
	addr := map[string]string{}
	for _, server := range []string{"master", "volume", "filer", "s3"} {
		for _, flag := range []string{server + ".port", server + ".port.grpc"} {
			addr[flag] = parts.FreeAddr(t)
			_, port, err := net.SplitHostPort(addr[flag])
			if err != nil {
				t.Fatal(err)
			}
			args = append(args, "-"+flag+"="+port)
			t.Cleanup(func() { removeSockets(t, port) })
		}
	}
	s.Addr = addr["s3.port"]
	s.URL = "http://" + s.Addr
	// The gateway answers before there is space to write to.
	gateway, room := parts.HTTP(s.URL+"/status", 200), parts.HTTP("http://"+addr["master.port"]+"/dir/assign", 200)
	parts.Start(t, parts.Spec{
		Path:  parts.Find(t, "weed"),
		Args:  args,
		Ready: func() error { return errors.Join(gateway(), room()) },
		// After SIGTERM its servers wait for each other.
		Abrupt: true,
	})
	s.client = awss3.New(awss3.Options{BaseEndpoint: &s.URL, Region: region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")})
	s.Make(t, Bucket)
	return s
}

// removeSockets removes the sockets that are named after a port.
func removeSockets(t testing.TB, port string) {
	t.Helper()
	sockets, err := filepath.Glob("/tmp/seaweedfs-*-" + port + ".sock")
	if err != nil {
		t.Error(err)
	}
	for _, socket := range sockets {
		if err := os.Remove(socket); err != nil {
			t.Error(err)
		}
	}
}

// Make makes another bucket. Anonymous clients may read its objects, but not list them.
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

// Client returns a client with the owner's rights.
func (s *Store) Client() *awss3.Client { return s.client }

// BucketURL returns the URL of a bucket for the config.
func (s *Store) BucketURL(bucket string) string {
	return "s3://" + bucket + "?region=" + s.Region + "&endpoint=" + s.URL + "&pathStyle=true"
}

// BlobURL returns the URL of a bucket's blobs for the proxy's config, with {digest}.
func (s *Store) BlobURL(bucket string) string {
	return s.URL + "/" + bucket + "/containers/images/{digest}"
}

// Getenv returns environment variables with the owner's credentials.
func (s *Store) Getenv(name string) string {
	return map[string]string{"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey}[name]
}
