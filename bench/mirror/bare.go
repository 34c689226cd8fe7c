package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// bareCopy is the obvious copy loop, done well. Workers download a blob into a file, hash it on the way, and put it
// into all stores at once with its SHA-256. The loop checks nothing beforehand, plans nothing and records nothing.
func bareCopy(ctx context.Context, registry, dir string, stores []*server, blobs []blob, workers int) (time.Duration, error) {
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, b := range blobs {
		g.Go(func() error { return bareOne(ctx, registry, dir, stores, b) })
	}
	err := g.Wait()
	return time.Since(start), err
}

func bareOne(ctx context.Context, registry, dir string, stores []*server, b blob) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, registry+"/v2/"+b.repository+"/blobs/"+b.digest.String(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	name := filepath.Join(dir, b.digest.Hex())
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close(); _ = os.Remove(name) }()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(file, h), resp.Body); err != nil {
		return err
	}
	sum := h.Sum(nil)
	if hex.EncodeToString(sum) != b.digest.Hex() {
		return fmt.Errorf("%s: other bytes", b.digest)
	}
	var puts errgroup.Group
	for _, s := range stores {
		puts.Go(func() error {
			_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bareName), Key: aws.String(b.digest.String()),
				Body: io.NewSectionReader(file, 0, b.size), ContentLength: &b.size, IfNoneMatch: aws.String("*"),
				ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum))})
			return err
		})
	}
	return puts.Wait()
}
