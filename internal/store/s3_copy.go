package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"ociproxy/internal/store/address"
)

const (
	maxCopyWhole = 5 << 30   // the most that S3 copies in one request
	minCopyPart  = 256 << 20 // in a copy in parts: the bytes do not pass through here, so fewer parts are better
	copySpeed    = 10 << 20  // the least speed of a copy inside the store, in bytes a second
)

// CopiesFrom implements [Copier]. Regions and owners may differ, but the partition of AWS must be the same.
func (b *s3Bucket) CopiesFrom(src Bucket) bool {
	from, ok := src.(*s3Bucket)
	return ok && from.endpoint == b.endpoint && from.profile == b.profile && partition(from) == partition(b)
}

func partition(b *s3Bucket) string {
	switch region := b.client.Options().Region; {
	case b.endpoint != "":
		return ""
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// CopyFrom implements [Copier]. Up to Options.CopyWhole it is one request, and the store computes the SHA-256 of the
// complete object. Larger objects are copied in parts, and have no SHA-256.
//
// CopyFrom asks beforehand whether the object exists, and the request repeats this as its own condition. Not every
// server knows the condition on a copy. A server that does not may replace an object that another writer makes in
// between. If only blobs are copied, the digest of both is the same.
func (b *s3Bucket) CopyFrom(ctx context.Context, key string, src Bucket, from Attrs, h Header) (Attrs, error) {
	if err := address.CheckKey(key); err != nil {
		return Attrs{}, err
	}
	if !b.CopiesFrom(src) {
		return Attrs{}, fmt.Errorf("copy from %s to %s: %w", src, b, ErrCannotCopy)
	}
	if err := b.refuseEarly(ctx, key, ""); err != nil {
		return Attrs{}, err
	}
	c := &s3Copy{to: b, key: key, from: src.(*s3Bucket), attrs: from, header: h}
	c.source = aws.String(c.from.name + "/" + escapeKey(c.from.prefix+from.Key))
	copied := c.whole
	if from.Size > b.copyWhole() {
		copied = c.parts
	}
	if err := copied(ctx); err != nil {
		return Attrs{}, c.explain(ctx, err)
	}
	a, err := b.Head(ctx, key)
	if err == nil && a.Size != from.Size {
		err = fmt.Errorf("copy to %s: it has %d bytes, not %d", b.object(key), a.Size, from.Size)
	}
	return a, err
}

// s3CopyPart returns the size of the parts of a copy. whole is how many bytes one request copies at most; part is the
// size of the parts that a put would use.
func s3CopyPart(whole, part int64) int64 { return max(min(minCopyPart, whole), part) }

// s3Copies returns how many requests copy an object: one, or one for each part and one before and one after them.
func s3Copies(size int64) int64 {
	if size <= maxCopyWhole {
		return 1
	}
	return 1 + pieces(size, s3CopyPart(maxCopyWhole, s3PartSize(minPart, size))) + 1
}

func (b *s3Bucket) copyWhole() int64 {
	if b.opt.CopyWhole > 0 {
		return min(b.opt.CopyWhole, maxCopyWhole)
	}
	return maxCopyWhole
}

// escapeKey encodes a key for the header that names the source of a copy.
func escapeKey(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(key), "+", "%20"), "%2F", "/")
}

type s3Copy struct {
	to, from *s3Bucket
	key      string
	attrs    Attrs
	header   Header
	source   *string
}

func (c *s3Copy) whole(ctx context.Context) error {
	ctx = withPatience(ctx, time.Duration(c.attrs.Size/copySpeed)*time.Second)
	star, _ := condition("")
	in := &s3.CopyObjectInput{Bucket: &c.to.name, Key: c.to.full(c.key), ExpectedBucketOwner: c.to.owner,
		CopySource: c.source, CopySourceIfMatch: &c.attrs.Version, ExpectedSourceBucketOwner: c.from.owner,
		IfNoneMatch: star, MetadataDirective: types.MetadataDirectiveReplace,
		ContentType: some(c.header.ContentType), CacheControl: some(c.header.CacheControl)}
	return c.to.withSums(func(sums bool) error {
		in.ChecksumAlgorithm = ""
		if sums {
			in.ChecksumAlgorithm = checksumSHA256
		}
		_, err := c.to.client.CopyObject(ctx, in)
		return err
	})
}

func (c *s3Copy) parts(ctx context.Context) error {
	// Only Amazon computes checksums of parts that it copies, and they would prove nothing about the complete object.
	u, err := c.to.begin(ctx, c.key, c.attrs.Size, c.header, false)
	if err != nil {
		return err
	}
	u.cut(s3CopyPart(c.to.copyWhole(), u.partSize))
	return u.orAbort(ctx, func() error {
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(c.to.opt.parallel())
		for i := range u.etags {
			group.Go(func() error { return c.part(groupCtx, u, i) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
		_, err := u.complete(ctx, nil, "")
		return err
	})
}

func (c *s3Copy) part(ctx context.Context, u *upload, i int) error {
	off, n, number := int64(i)*u.partSize, u.length(i), int32(i+1)
	ctx = withPatience(ctx, time.Duration(n/copySpeed)*time.Second)
	out, err := c.to.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: &c.to.name, Key: c.to.full(c.key), UploadId: u.id,
		PartNumber: &number, CopySource: c.source, CopySourceIfMatch: &c.attrs.Version, ExpectedBucketOwner: c.to.owner,
		ExpectedSourceBucketOwner: c.from.owner, CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))})
	if err != nil {
		return err
	}
	if out.CopyPartResult == nil {
		return fmt.Errorf("copy part %d of %s: an empty answer", number, c.to.object(c.key))
	}
	u.etags[i] = out.CopyPartResult.ETag
	return nil
}

// explain says why a copy failed. If a condition did not hold, there are two possible reasons: the object exists, or
// the source has changed.
func (c *s3Copy) explain(ctx context.Context, err error) error {
	var answer *awshttp.ResponseError
	status := 0
	if errors.As(err, &answer) {
		status = answer.HTTPStatusCode()
		err = s3Failure(err)
	}
	err = fmt.Errorf("copy %s to %s: %w", c.from.object(c.attrs.Key), c.to.object(c.key), err)
	switch status {
	case http.StatusPreconditionFailed:
		if _, e := c.to.Head(ctx, c.key); e == nil {
			return fmt.Errorf("%w: %w", ErrExists, err)
		}
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case http.StatusForbidden, http.StatusNotImplemented, http.StatusMethodNotAllowed, http.StatusBadRequest:
		return fmt.Errorf("%w: %w", ErrCannotCopy, err)
	}
	return err
}
