package store

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
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

func (b *s3Bucket) head(ctx context.Context, key string) (out *s3.HeadObjectOutput, err error) {
	in := &s3.HeadObjectInput{Bucket: &b.name, Key: b.full(key), ExpectedBucketOwner: b.owner}
	err = b.withSums(func(sums bool) error {
		in.ChecksumMode = checksumMode(sums)
		out, err = b.client.HeadObject(ctx, in)
		return err
	})
	return out, err
}

// checksumMode asks for the checksum that the store keeps, or does not.
func checksumMode(sums bool) types.ChecksumMode {
	if sums {
		return types.ChecksumModeEnabled
	}
	return ""
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
		if err != nil && errors.Is(s3Failure(err), errNoUpload) { // what some servers say in place of an empty list
			return n, nil
		}
		if err != nil {
			return n, cannotClean(b.failure("list uploads below", prefix, err))
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

// cannotClean says what follows when the store cannot tell which uploads were not finished.
func cannotClean(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("the store has no ListMultipartUploads: let a life-cycle rule of the bucket abort them: %w", err)
	}
	return err
}
