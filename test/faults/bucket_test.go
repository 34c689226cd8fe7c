package faults

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/internal/inventory/write"
	"ociproxy/test/s3"
)

const (
	blobPrefix      = "containers/images/"
	inventoryPrefix = "inventory/"
)

// bucket is one world's bucket in a store that all worlds share. It is a [write.Bucket] for its inventory.
type bucket struct {
	client *awss3.Client
	name   string
}

func newBucket(t *testing.T, store *s3.Store, name string) *bucket {
	t.Helper()
	store.Make(t, name)
	return &bucket{store.Client(), name}
}

func (b *bucket) Get(ctx context.Context, key string) (io.ReadCloser, string, error) {
	out, err := b.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b.name, Key: aws.String(inventoryPrefix + key)})
	if err != nil {
		return nil, "", translate(err)
	}
	return out.Body, *out.ETag, nil
}

func (b *bucket) Put(ctx context.Context, key string, o write.Object, version string) (string, error) {
	in := &awss3.PutObjectInput{
		Bucket: &b.name, Key: aws.String(inventoryPrefix + key), Body: o.Body, ContentLength: &o.Size,
		ContentType: &o.ContentType, CacheControl: &o.CacheControl,
	}
	if version == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = &version
	}
	out, err := b.client.PutObject(ctx, in)
	if err = translate(err); errors.Is(err, write.ErrConflict) && version == "" {
		err = write.ErrExists
	}
	if err != nil {
		return "", err
	}
	return *out.ETag, nil
}

func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[write.Listed, error] {
	return func(yield func(write.Listed, error) bool) {
		pages := awss3.NewListObjectsV2Paginator(b.client, &awss3.ListObjectsV2Input{Bucket: &b.name,
			Prefix: aws.String(inventoryPrefix + prefix)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(write.Listed{}, err)
				return
			}
			for _, o := range page.Contents {
				if !yield(write.Listed{Key: (*o.Key)[len(inventoryPrefix):], Size: *o.Size, Modified: *o.LastModified}, nil) {
					return
				}
			}
		}
	}
}

func (b *bucket) Delete(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &b.name, Key: aws.String(inventoryPrefix + key)})
	return err
}

func translate(err error) error {
	var status interface{ HTTPStatusCode() int }
	if errors.As(err, &status) {
		switch status.HTTPStatusCode() {
		case http.StatusNotFound:
			return write.ErrNotFound
		case http.StatusPreconditionFailed, http.StatusConflict:
			return write.ErrConflict
		}
	}
	return err
}

// lose deletes a blob without changing the inventory.
func (b *bucket) lose(t *testing.T, digest string) {
	t.Helper()
	_, err := b.client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &b.name, Key: aws.String(blobPrefix + digest)})
	if err != nil {
		t.Fatal(err)
	}
}

// wipe deletes everything.
func (b *bucket) wipe(t *testing.T) {
	t.Helper()
	pages := awss3.NewListObjectsV2Paginator(b.client, &awss3.ListObjectsV2Input{Bucket: &b.name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			if _, err := b.client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &b.name, Key: o.Key}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// read returns an object's bytes.
func (b *bucket) read(t *testing.T, key string) []byte {
	t.Helper()
	r, _, err := b.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
