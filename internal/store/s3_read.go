package store

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Head implements [Bucket].
func (b *s3Bucket) Head(ctx context.Context, key string) (Attrs, error) {
	out, err := b.head(ctx, key)
	if err != nil {
		return Attrs{}, b.failure("head", key, err)
	}
	return Attrs{
		Key: key, Size: aws.ToInt64(out.ContentLength), Version: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified),
		SHA256:          wholeSHA256(out.ChecksumSHA256, out.ChecksumType),
		Header:          Header{ContentType: aws.ToString(out.ContentType), CacheControl: aws.ToString(out.CacheControl)},
		ContentEncoding: aws.ToString(out.ContentEncoding),
	}, nil
}

func (b *s3Bucket) head(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	return b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: b.full(key), ExpectedBucketOwner: b.owner,
		ChecksumMode: types.ChecksumModeEnabled})
}

// wholeSHA256 returns a checksum in hexadecimal if it is one of the object's bytes. One of an object written in parts is a
// checksum of their checksums; it says so, or ends in "-" and their number.
func wholeSHA256(sum *string, kind types.ChecksumType) string {
	if sum == nil || kind == types.ChecksumTypeComposite {
		return ""
	}
	raw, err := base64.StdEncoding.DecodeString(*sum) // no "-" in it
	if err != nil || len(raw) != 32 {
		return ""
	}
	return hex.EncodeToString(raw)
}

// Get implements [Bucket]. One answer is one version; it is not gone on with after it broke.
func (b *s3Bucket) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Attrs, error) {
	in := &s3.GetObjectInput{Bucket: &b.name, Key: b.full(key), ExpectedBucketOwner: b.owner}
	switch {
	case off < 0:
		return nil, Attrs{}, fmt.Errorf("get %s: negative offset %d", b.object(key), off)
	case n == 0:
		a, err := b.Head(ctx, key)
		return io.NopCloser(strings.NewReader("")), a, err
	case n > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	case off > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", off))
	default:
		// The SDK then compares the bytes with the store's checksum as they are read.
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	out, err := b.client.GetObject(ctx, in)
	if err != nil {
		return nil, Attrs{}, b.failure("get", key, err)
	}
	a := Attrs{
		Key: key, Size: aws.ToInt64(out.ContentLength), Version: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified),
		SHA256:          wholeSHA256(out.ChecksumSHA256, out.ChecksumType),
		Header:          Header{ContentType: aws.ToString(out.ContentType), CacheControl: aws.ToString(out.CacheControl)},
		ContentEncoding: aws.ToString(out.ContentEncoding),
	}
	if in.Range != nil {
		if a.Size, err = rangeTotal(aws.ToString(out.ContentRange), off); err != nil {
			out.Body.Close()
			return nil, Attrs{}, fmt.Errorf("get %s: %w", b.object(key), err)
		}
		a.SHA256 = "" // if any, of the part
	}
	if n < 0 {
		n = a.Size - off
	}
	return &exact{ReadCloser: out.Body, left: n}, a, nil
}

// rangeTotal reads "bytes 5-9/100": that the answer starts at off, and the size of the whole.
func rangeTotal(text string, off int64) (int64, error) {
	rest, ok := strings.CutPrefix(text, fmt.Sprintf("bytes %d-", off))
	_, total, ok2 := strings.Cut(rest, "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if !ok || !ok2 || err != nil {
		return 0, fmt.Errorf("asked for bytes from %d, answered with range %q", off, text)
	}
	return size, nil
}

// List implements [Bucket].
func (b *s3Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[Attrs, error] {
	return func(yield func(Attrs, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: b.full(prefix), ExpectedBucketOwner: b.owner}
		if after != "" {
			in.StartAfter = b.full(after)
		}
		for pages := s3.NewListObjectsV2Paginator(b.client, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Attrs{}, b.failure("list", prefix, err))
				return
			}
			for _, o := range page.Contents {
				key := strings.TrimPrefix(aws.ToString(o.Key), b.prefix)
				if !yield(Attrs{Key: key, Size: aws.ToInt64(o.Size), Version: aws.ToString(o.ETag), Modified: aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
		}
	}
}

// Delete implements [Bucket]. The version is also compared beforehand, for servers that do not know the condition: there remains a moment
// in which such a server deletes what somebody else has just written.
func (b *s3Bucket) Delete(ctx context.Context, key, version string) error {
	in := &s3.DeleteObjectInput{Bucket: &b.name, Key: b.full(key), ExpectedBucketOwner: b.owner}
	if version != "" {
		a, err := b.Head(ctx, key)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("delete: %w", err)
		case a.Version != version:
			return fmt.Errorf("delete %s: %w", b.object(key), ErrConflict)
		}
		in.IfMatch = &version
	}
	_, err := b.client.DeleteObject(ctx, in)
	if err == nil {
		return nil
	}
	err = b.failure("delete", key, err)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, errPrecondition), errors.Is(err, errBusyKey):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}

// Clean implements [Cleaner]. It compares times of the store with each other.
func (b *s3Bucket) Clean(ctx context.Context, prefix string, age time.Duration) (int, error) {
	n := 0
	in := &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: b.full(prefix), ExpectedBucketOwner: b.owner}
	for pages := s3.NewListMultipartUploadsPaginator(b.client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return n, b.failure("list uploads below", prefix, err)
		}
		now := serverTime(page.ResultMetadata)
		for _, u := range page.Uploads {
			if now.Sub(aws.ToTime(u.Initiated)) <= age {
				continue
			}
			err := b.abort(ctx, aws.ToString(u.Key), aws.ToString(u.UploadId))
			if err != nil && !errors.Is(err, errNoUpload) {
				return n, err
			}
			n++
		}
	}
	return n, nil
}
