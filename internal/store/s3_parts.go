package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

const (
	minPart  = 16 << 20
	maxParts = 9000 // S3 takes 10 000
)

// partSizeOf returns the size of an object's parts (the last may be smaller).
func (b *s3Bucket) partSizeOf(size int64) int64 { return s3PartSize(b.partSize, size) }

func s3PartSize(least, size int64) int64 {
	const mib = 1 << 20
	return max(least, pieces(pieces(size, maxParts), mib)*mib)
}

// s3Puts returns how many requests write an object: one, or one for each part and one before and one after them.
func s3Puts(size int64) int64 {
	if size <= onePiece {
		return 1
	}
	return 1 + pieces(size, s3PartSize(minPart, size)) + 1
}

// upload is an object that is being written in parts.
type upload struct {
	b        *s3Bucket
	key      string
	id       *string
	size     int64
	partSize int64
	etags    []*string
	// For parts sent from here: the checksum of each, which the store compares; and the sums of its bytes.
	checksums []*string
	sums      []sums
}

// putParts sends content in parts, each as soon as its bytes are there. Nothing is visible until the last step. That
// step happens only after the complete content was verified, the parts as sent add up to the same CRC32C, and the
// condition still holds.
//
// Each part is read twice, once to hash it and once to send it: it is in the page cache, so this process need not hold
// it in memory too. The store refuses a part whose bytes do not match the hash.
func (b *s3Bucket) putParts(ctx context.Context, key string, c Content, h Header, version string) (Attrs, error) {
	// Check the condition now, so as not to send everything for nothing. The last step checks it again.
	if err := b.refuseEarly(ctx, key, version); err != nil {
		return Attrs{}, err
	}
	u, err := b.begin(ctx, key, c.Size(), h, true)
	if err != nil {
		return Attrs{}, err
	}
	var a Attrs
	err = u.orAbort(ctx, func() (err error) {
		a, err = u.run(ctx, c, version)
		return err
	})
	a.Header = h
	return a, err
}

// orAbort does the work of an upload, and aborts the upload if that fails. It does so even after the caller has given
// up, but for at most 10 s.
func (u *upload) orAbort(ctx context.Context, work func() error) error {
	err := work()
	if err == nil {
		return nil
	}
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if e := u.b.abort(short, *u.b.full(u.key), *u.id); e != nil && !errors.Is(e, errNoUpload) {
		err = errors.Join(err, e)
	}
	return err
}

func (b *s3Bucket) refuseEarly(ctx context.Context, key, version string) error {
	a, err := b.Head(ctx, key)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	case err == nil && version == "":
		return fmt.Errorf("put %s: %w", b.object(key), ErrExists)
	case version != "" && a.Version != version:
		return fmt.Errorf("put %s: %w", b.object(key), ErrConflict)
	}
	return nil
}

// begin begins an upload. Its parts carry their SHA-256 if checksums is true.
func (b *s3Bucket) begin(ctx context.Context, key string, size int64, h Header, checksums bool) (*upload, error) {
	in := &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: b.full(key), ExpectedBucketOwner: b.owner,
		ContentType: some(h.ContentType), CacheControl: some(h.CacheControl)}
	var out *s3.CreateMultipartUploadOutput
	begin := func(sums bool) (err error) {
		in.ChecksumAlgorithm, in.ChecksumType = "", ""
		if sums {
			in.ChecksumAlgorithm, in.ChecksumType = checksumSHA256, types.ChecksumTypeComposite
		}
		out, err = b.client.CreateMultipartUpload(ctx, in)
		return err
	}
	var err error
	if checksums {
		err = b.withSums(begin)
	} else {
		err = begin(false)
	}
	if err != nil {
		return nil, b.failure("begin upload of", key, err)
	}
	if out.UploadId == nil {
		return nil, fmt.Errorf("begin upload of %s: the store gave it no id", b.object(key))
	}
	u := &upload{b: b, key: key, id: out.UploadId, size: size}
	u.cut(b.partSizeOf(size))
	return u, nil
}

// cut divides the object into parts of a size.
func (u *upload) cut(partSize int64) {
	n := pieces(u.size, partSize)
	u.partSize, u.etags, u.checksums, u.sums = partSize, make([]*string, n), make([]*string, n), make([]sums, n)
}

func (b *s3Bucket) abort(ctx context.Context, full, id string) error {
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &full, UploadId: &id,
		ExpectedBucketOwner: b.owner})
	if err != nil {
		return fmt.Errorf("abort upload of s3://%s/%s: %w", b.name, full, s3Failure(err))
	}
	return nil
}

func (u *upload) run(ctx context.Context, c Content, version string) (Attrs, error) {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(u.b.opt.parallel())
	for i := range u.etags {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error { return u.send(groupCtx, c, i) })
	}
	if err := group.Wait(); err != nil {
		return Attrs{}, err
	}
	if err := c.Verified(ctx); err != nil {
		return Attrs{}, fmt.Errorf("put %s: %w", u.b.object(u.key), err)
	}
	if got, want := u.crc(), c.CRC32C(); got != want {
		return Attrs{}, fmt.Errorf("put %s: crc32c of what was sent is %08x, not %08x", u.b.object(u.key), got, want)
	}
	return u.complete(ctx, c, version)
}

// length returns the length of part i.
func (u *upload) length(i int) int64 { return min(u.partSize, u.size-int64(i)*u.partSize) }

// send hashes and sends part i.
func (u *upload) send(ctx context.Context, c Content, i int) error {
	off, n := int64(i)*u.partSize, u.length(i)
	number := int32(i + 1)
	s, err := sum(ctx, c, off, n, io.Discard)
	if err != nil {
		return fmt.Errorf("put part %d of %s: %w", number, u.b.object(u.key), err)
	}
	checksum := base64.StdEncoding.EncodeToString(s.sha256[:])
	in := &s3.UploadPartInput{Bucket: &u.b.name, Key: u.b.full(u.key), UploadId: u.id, PartNumber: &number, ContentLength: &n,
		ExpectedBucketOwner: u.b.owner}
	err = u.b.withSums(func(sums bool) error {
		in.Body, in.ChecksumSHA256 = io.NewSectionReader(c, off, n), onlyIf(sums, &checksum)
		out, err := u.b.client.UploadPart(ctx, in, signed(hex.EncodeToString(s.sha256[:])))
		if err == nil {
			u.etags[i], u.checksums[i] = out.ETag, in.ChecksumSHA256
		}
		return err
	})
	if err != nil {
		return u.b.failure(fmt.Sprintf("put part %d of", number), u.key, err)
	}
	u.sums[i] = s
	return nil
}

// crc returns the CRC32C of all parts together.
func (u *upload) crc() uint32 {
	var crc uint32
	for i, s := range u.sums {
		crc = joinCRC(crc, s.crc, u.length(i))
	}
	return crc
}

// checksum returns what the store keeps as the object's checksum: the SHA-256 of the SHA-256s of its parts (without
// their number).
func (u *upload) checksum() string {
	h := sha256.New()
	for _, s := range u.sums {
		h.Write(s.sha256[:])
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// complete makes the object from its parts. c is the content of the parts, nil if the store copied them.
func (u *upload) complete(ctx context.Context, c Content, version string) (Attrs, error) {
	in := &s3.CompleteMultipartUploadInput{Bucket: &u.b.name, Key: u.b.full(u.key), UploadId: u.id, ExpectedBucketOwner: u.b.owner}
	in.IfNoneMatch, in.IfMatch = condition(version)
	var lost atomic.Int32
	var out *s3.CompleteMultipartUploadOutput
	err := u.b.withSums(func(sums bool) (err error) {
		in.MultipartUpload, in.MpuObjectSize = &types.CompletedMultipartUpload{Parts: u.completed(sums)}, nil
		if sums {
			in.MpuObjectSize = &u.size
		}
		// The store may take minutes to put a large object together.
		out, err = u.b.client.CompleteMultipartUpload(countUnclear(withPatience(ctx, time.Minute), &lost), in)
		return err
	})
	if err == nil {
		a := Attrs{Key: u.key, Size: u.size, Version: deref(out.ETag), Modified: serverTime(out.ResultMetadata)}
		if c == nil {
			return a, nil
		}
		return a, u.b.prove(ctx, a, c)
	}
	err = u.b.failure("complete", u.key, err)
	gone := errors.Is(err, errNoUpload)
	if lost.Load() > 0 && (gone || refused(err, version)) {
		if a, ok := u.isThere(ctx, c); ok {
			return a, nil
		}
	}
	if refused(err, version) {
		return Attrs{}, asRefusal(err, version)
	}
	return Attrs{}, err
}

// completed returns the list of the parts.
func (u *upload) completed(sums bool) []types.CompletedPart {
	parts := make([]types.CompletedPart, len(u.etags))
	for i := range parts {
		number := int32(i + 1)
		parts[i] = types.CompletedPart{PartNumber: &number, ETag: u.etags[i], ChecksumSHA256: onlyIf(sums, u.checksums[i])}
	}
	return parts
}

// isThere reports whether the object in the store is that of this upload: its checksum is that of exactly these parts,
// or, if the store keeps none, its bytes are those of c.
func (u *upload) isThere(ctx context.Context, c Content) (Attrs, bool) {
	head, err := u.b.head(ctx, u.key)
	if err != nil || head.ContentLength == nil || *head.ContentLength != u.size {
		return Attrs{}, false
	}
	a := Attrs{Key: u.key, Size: u.size, Version: deref(head.ETag), Modified: aws.ToTime(head.LastModified)}
	if c != nil && u.b.readsBack() && deref(head.ChecksumSHA256) == "" {
		same, err := u.b.has(ctx, u.key, a.Version, c)
		return a, same && err == nil
	}
	return a, deref(head.ChecksumSHA256) == fmt.Sprintf("%s-%d", u.checksum(), len(u.sums))
}
