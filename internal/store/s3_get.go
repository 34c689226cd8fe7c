package store

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Get implements [Bucket]. If the body breaks off, reading continues at that point, in the same version.
func (b *s3Bucket) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Attrs, error) {
	if off < 0 {
		return nil, Attrs{}, fmt.Errorf("get %s: negative offset %d", b.object(key), off)
	}
	if n == 0 {
		a, err := b.Head(ctx, key)
		return io.NopCloser(strings.NewReader("")), a, err
	}
	out, a, err := b.get(ctx, key, off, n, nil)
	if err != nil {
		return nil, Attrs{}, err
	}
	if n < 0 {
		n = a.Size - off
	}
	body := &resumed{b: b, ctx: ctx, key: key, version: out.ETag, off: off, left: n, body: out.Body}
	return body, a, nil
}

// get makes one request; n < 0 means to the end.
func (b *s3Bucket) get(ctx context.Context, key string, off, n int64, version *string) (*s3.GetObjectOutput, Attrs, error) {
	in := &s3.GetObjectInput{Bucket: &b.name, Key: b.full(key), ExpectedBucketOwner: b.owner, IfMatch: version}
	var out *s3.GetObjectOutput
	get := func(sums bool) (err error) {
		in.ChecksumMode = checksumMode(sums)
		out, err = b.client.GetObject(ctx, in)
		return err
	}
	var err error
	switch {
	case n > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
		err = get(false)
	case off > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", off))
		err = get(false)
	default:
		// The SDK then compares the bytes with the store's checksum while they are read.
		err = b.withSums(get)
	}
	if err != nil {
		return nil, Attrs{}, b.failure("get", key, err)
	}
	a := Attrs{
		Key: key, Size: aws.ToInt64(out.ContentLength), Version: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified),
		SHA256:          wholeSHA256(out.ChecksumSHA256, out.ChecksumType),
		Header:          Header{ContentType: aws.ToString(out.ContentType), CacheControl: aws.ToString(out.CacheControl)},
		ContentEncoding: aws.ToString(out.ContentEncoding),
		Hidden:          s3Moved(aws.ToString(out.WebsiteRedirectLocation)),
	}
	if in.Range == nil {
		return out, a, nil
	}
	a.SHA256 = "" // if any, that of the part
	if a.Size, err = rangeTotal(aws.ToString(out.ContentRange), off); err != nil {
		out.Body.Close()
		return nil, Attrs{}, fmt.Errorf("get %s: %w", b.object(key), err)
	}
	return out, a, nil
}

// rangeTotal parses "bytes 5-9/100". It checks that the answer starts at off, and returns the size of the complete
// object.
func rangeTotal(text string, off int64) (int64, error) {
	rest, ok := strings.CutPrefix(text, fmt.Sprintf("bytes %d-", off))
	_, total, ok2 := strings.Cut(rest, "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if !ok || !ok2 || err != nil {
		return 0, fmt.Errorf("asked for bytes from %d, answered with range %q", off, text)
	}
	return size, nil
}

// resumeTries limits how often in a row a body is requested again without receiving a byte.
const resumeTries = 4

// resumed is the body of an object that continues after it broke off.
type resumed struct {
	b         *s3Bucket
	ctx       context.Context // the context of Get, which also limits the reading
	key       string
	version   *string
	off, left int64 // from the next byte on
	body      io.ReadCloser
	tries     int
}

func (r *resumed) Read(p []byte) (int, error) {
	for {
		n, err := r.body.Read(p)
		r.off, r.left = r.off+int64(n), r.left-int64(n)
		if n > 0 {
			r.tries = 0
		}
		if err == io.EOF && r.left > 0 {
			err = io.ErrUnexpectedEOF
		}
		// An error at the end is about the complete object: its checksum is wrong.
		if err == nil || r.left == 0 {
			return n, err
		}
		if err := r.again(err); err != nil || n > 0 {
			return n, err
		}
	}
}

// again requests the bytes that are left. It returns why they cannot be read, or nil.
func (r *resumed) again(broke error) error {
	if r.tries++; r.tries > resumeTries || r.left < 0 || r.ctx.Err() != nil {
		return fmt.Errorf("read %s at %d: %w", r.b.object(r.key), r.off, broke)
	}
	r.body.Close()
	out, _, err := r.b.get(r.ctx, r.key, r.off, r.left, r.version)
	if err != nil {
		r.tries = resumeTries
		return fmt.Errorf("read %s at %d: %w, then: %w", r.b.object(r.key), r.off, broke, err)
	}
	r.body = out.Body
	return nil
}

func (r *resumed) Close() error { return r.body.Close() }
