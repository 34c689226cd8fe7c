package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/bench/process"
)

const (
	accessKey = "bench"
	secretKey = "bench-secret"
	bucket    = "blobs"   // the mirror's
	bareName  = "bare"    // the bare loop's
	largeName = "largest" // for the single large layers
)

// regions are the stores' regions. Each store's place has the same name.
var regions = []string{"us-east-1", "eu-central-1", "ap-southeast-1"}

// server is an S3 server with its buckets.
type server struct {
	region, url string
	client      *s3.Client
}

// startRegistry starts CNCF distribution and returns its URL and the file of its access log.
func startRegistry(ctx context.Context, parts, dir string) (url, log string, err error) {
	addr, err := process.FreeAddr()
	if err != nil {
		return "", "", err
	}
	conf, log := filepath.Join(dir, "registry.yml"), filepath.Join(dir, "registry.log")
	text := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: false}}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q, secret: bench}
`, filepath.Join(dir, "registry"), addr)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return "", "", err
	}
	err = startLogged(ctx, log, []string{"OTEL_TRACES_EXPORTER=none"}, filepath.Join(parts, "registry"), "serve", conf)
	if err != nil {
		return "", "", err
	}
	url = "http://" + addr
	return url, log, answers(ctx, url+"/v2/")
}

// startStore starts versitygw with publicly readable buckets.
func startStore(ctx context.Context, parts, dir, region string) (*server, error) {
	addr, err := process.FreeAddr()
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, region)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	err = startLogged(ctx, filepath.Join(dir, region+".log"), []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey},
		filepath.Join(parts, "versitygw"), "--quiet", "--port", addr, "--region", region, "--health", "/-/health", "posix", root)
	if err != nil {
		return nil, err
	}
	s := &server{region: region, url: "http://" + addr}
	s.client = s3.New(s3.Options{BaseEndpoint: aws.String(s.url), Region: region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")})
	if err := answers(ctx, s.url+"/-/health"); err != nil {
		return nil, err
	}
	for _, name := range []string{bucket, bareName, largeName} {
		if _, err := s.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(name)}); err != nil {
			return nil, err
		}
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + name + `/*"}]}`
		if _, err := s.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String(name), Policy: &policy}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// startLogged starts a server that writes to log and ends with the benchmark.
func startLogged(ctx context.Context, log string, env []string, name string, args ...string) error {
	out, err := os.Create(log)
	if err != nil {
		return err
	}
	cmd := process.Command(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	_, err = process.Start(cmd)
	return errors.Join(err, out.Close()) // the program has its own handle
}

func answers(ctx context.Context, url string) error {
	return process.Until(ctx, 20*time.Second, 20*time.Millisecond, func() bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		resp, err := process.Client.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// writeConfig writes a config with the registry and one bucket of each store.
func writeConfig(file, registry, name, spool string, stores []*server, repositories []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
upstreams:
  - {name: source, url: %q, place: gcp/us-central1, canonical: true, insecure: true}
stores:
`, registry)
	for _, s := range stores {
		fmt.Fprintf(&b, `  - name: %[1]s
    place: aws/%[1]s
    url: "%[2]s/%[3]s/containers/images/{digest}"
    inventory: {url: "%[2]s/%[3]s/inventory/"}
    bucket: "s3://%[3]s?region=%[1]s&endpoint=%[2]s&pathStyle=true"
    serves: [all]
    insecure: true
`, s.region, s.url, name)
	}
	// The three stores stand for three clouds: the mirror sends every byte to each, as the bare loop does.
	fmt.Fprintf(&b, "mirror:\n  source: source\n  copy: upload\n  requestsPerSecond: 100000\n  spool: {dir: %q}\n  repositories: {list: [%s]}\n",
		spool, strings.Join(repositories, ", "))
	return os.WriteFile(file, []byte(b.String()), 0o600)
}

// empty removes every object of the named buckets.
func (s *server) empty(ctx context.Context, names ...string) error {
	for _, name := range names {
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: aws.String(name)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, o := range page.Contents {
				if _, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(name), Key: o.Key}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
