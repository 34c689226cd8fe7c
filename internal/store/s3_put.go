package store

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"ociproxy/internal/store/address"
	"ociproxy/internal/wait"
)

// onePiece is the size up to which one request puts an object. The store then keeps the SHA-256 of the complete object.
const onePiece = 16 << 20

// Put implements [Bucket].
//
// # When a write meets itself
//
// The SDK repeats a request whose answer was lost. If the first one did its work, the second is refused: the object
// exists, or has another version. So, when a refused request followed one with unknown outcome, Put looks at what is
// there. Bytes of our size and checksum mean that the object is written, and Put succeeds. Put cannot distinguish
// this from another writer of the same bytes at that moment. A caller that must know (a lock, for instance) puts
// something unique into the bytes. When the first request is refused, Put believes that: ErrExists, even if the same
// bytes are there.
func (b *s3Bucket) Put(ctx context.Context, key string, c Content, h Header, version string) (Attrs, error) {
	if err := address.CheckKey(key); err != nil {
		return Attrs{}, err
	}
	put := b.putParts
	if c.Size() <= onePiece {
		put = b.putWhole
	}
	// Busy means that another writer is at work. It is soon clear which of the two wins.
	const tries = 4
	for try := 1; ; try++ {
		a, err := put(ctx, key, c, h, version)
		if err == nil {
			return a, nil
		}
		if !errors.Is(err, errBusyKey) || try == tries {
			return Attrs{}, err
		}
		if wait.For(ctx, wait.Jitter(time.Duration(try)*100*time.Millisecond)) != nil {
			return Attrs{}, ctx.Err()
		}
	}
}

// putWhole sends verified content in one request, signed with its digest. The store refuses other bytes.
func (b *s3Bucket) putWhole(ctx context.Context, key string, c Content, h Header, version string) (Attrs, error) {
	if err := c.Verified(ctx); err != nil {
		return Attrs{}, fmt.Errorf("put %s: %w", b.object(key), err)
	}
	digest := c.SHA256()
	if digest == "" {
		s, err := sum(ctx, c, 0, c.Size(), io.Discard)
		if err != nil {
			return Attrs{}, fmt.Errorf("put %s: %w", b.object(key), err)
		}
		if s.crc != c.CRC32C() {
			return Attrs{}, fmt.Errorf("put %s: crc32c of the content is %08x, not %08x", b.object(key), s.crc, c.CRC32C())
		}
		digest = hex.EncodeToString(s.sha256[:])
	}
	raw, err := hex.DecodeString(digest)
	if err != nil {
		return Attrs{}, fmt.Errorf("put %s: sha256 %q: %w", b.object(key), digest, err)
	}
	checksum := base64.StdEncoding.EncodeToString(raw)
	size := c.Size()
	in := &s3.PutObjectInput{Bucket: &b.name, Key: b.full(key), ExpectedBucketOwner: b.owner,
		ContentLength: &size, ContentType: some(h.ContentType), CacheControl: some(h.CacheControl)}
	in.IfNoneMatch, in.IfMatch = condition(version)
	var lost atomic.Int32
	var out *s3.PutObjectOutput
	err = b.withSums(func(sums bool) (err error) {
		in.Body, in.ChecksumSHA256 = io.NewSectionReader(c, 0, size), onlyIf(sums, &checksum)
		out, err = b.client.PutObject(countUnclear(ctx, &lost), in, signed(digest))
		return err
	})
	if err == nil {
		a := Attrs{Key: key, Size: size, Version: deref(out.ETag), Modified: serverTime(out.ResultMetadata),
			SHA256: wholeSHA256(out.ChecksumSHA256, out.ChecksumType), Header: h}
		return a, b.prove(ctx, a, c)
	}
	err = b.failure("put", key, err)
	if !refused(err, version) {
		return Attrs{}, err
	}
	if lost.Load() > 0 {
		if a, ok := b.met(ctx, key, c, digest); ok {
			return a, nil
		}
	}
	return Attrs{}, asRefusal(err, version)
}

// met reports whether the object in the store is the one that was just put: its checksum is that of the content, or, if
// the store keeps none, its bytes are.
func (b *s3Bucket) met(ctx context.Context, key string, c Content, digest string) (Attrs, bool) {
	a, err := b.Head(ctx, key)
	if err != nil || a.Size != c.Size() {
		return Attrs{}, false
	}
	if a.SHA256 == "" && b.readsBack() {
		same, err := b.has(ctx, key, a.Version, c)
		return a, same && err == nil
	}
	return a, a.SHA256 == digest
}

// condition returns If-None-Match and If-Match for a version.
func condition(version string) (ifNoneMatch, ifMatch *string) {
	if version == "" {
		star := "*"
		return &star, nil
	}
	return nil, &version
}

// refused reports whether a conditional write was refused because of its condition. If the object to replace does not
// exist, the answer is 404.
func refused(err error, version string) bool {
	return errors.Is(err, errPrecondition) || version != "" && errors.Is(err, ErrNotFound)
}

func asRefusal(err error, version string) error {
	if version == "" {
		return fmt.Errorf("%w: %w", ErrExists, err)
	}
	return fmt.Errorf("%w: %w", ErrConflict, err)
}

// signed gives a request the digest of its body, so that the SDK does not read the body again to sign it.
func signed(digest string) func(*s3.Options) {
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("KnownDigest", func(
				ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
			) (middleware.InitializeOutput, middleware.Metadata, error) {
				return next.HandleInitialize(v4.SetPayloadHash(ctx, digest), in)
			}), middleware.Before)
		})
	}
}

// serverTime returns the store's time when it answered, or our own if the answer does not contain it.
func serverTime(m middleware.Metadata) time.Time {
	if t, ok := awsmiddleware.GetServerTime(m); ok {
		return t
	}
	return time.Now()
}

func onlyIf(yes bool, s *string) *string {
	if !yes {
		return nil
	}
	return s
}

func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// checksumSHA256 is the name of the algorithm in requests.
const checksumSHA256 = types.ChecksumAlgorithmSha256
