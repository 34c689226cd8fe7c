package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"

	"github.com/aws/smithy-go"
)

// withSums makes a request with headers about checksums. If the server refuses them, it makes the request again without
// them and remembers that: Backblaze B2 and others do not know these headers. Then two things protect the bytes: the
// hash that every request is signed with (x-amz-content-sha256), and reading them back.
func (b *s3Bucket) withSums(do func(sums bool) error) error {
	if b.noSums.Load() {
		return do(false)
	}
	err := do(true)
	if !refusesHeader(err) {
		return err
	}
	again := do(false)
	if refusesHeader(again) && s3Failure(again).Error() == s3Failure(err).Error() {
		return err // the reason was something else
	}
	if !b.noSums.Swap(true) {
		b.opt.logger().Info("the store refuses checksums of S3: what is written is read back", "bucket", b.String(), "error", s3Failure(err))
	}
	return again
}

// refusesHeader reports whether a request was refused because of its headers, not because of what is in the store.
func refusesHeader(err error) bool {
	switch s3Status(err) {
	case http.StatusNotImplemented:
		return true
	case http.StatusBadRequest:
	default:
		return false
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return true
	}
	switch api.ErrorCode() {
	case "InvalidArgument", "InvalidRequest", "NotImplemented", "UnsupportedHeader", "BadRequest", "": // the answer to a HEAD has no code of S3's
		return true
	}
	return false
}

// readsBack reports whether what is written must be read back, because the server does not compare some checksum with
// the bytes.
func (b *s3Bucket) readsBack() bool { return b.noSums.Load() || b.blind.Load() }

// prove reads back what was written, if the store does not prove it. It removes an object whose bytes are not those of
// c.
func (b *s3Bucket) prove(ctx context.Context, a Attrs, c Content) error {
	if !b.readsBack() {
		return nil
	}
	same, err := b.has(ctx, a.Key, a.Version, c)
	if err == nil && same {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("put %s: the store took other bytes than were sent", b.object(a.Key))
		if stays := b.Delete(context.WithoutCancel(ctx), a.Key, a.Version); stays != nil {
			err = fmt.Errorf("%w, and they stay there: %w", err, stays)
		}
	}
	return err
}

// has reads an object, in the given version if there is one, and reports whether it has the bytes of c, which was
// verified.
func (b *s3Bucket) has(ctx context.Context, key, version string, c Content) (bool, error) {
	body, a, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return false, fmt.Errorf("read back: %w", err)
	}
	defer body.Close()
	if version != "" && a.Version != version {
		return false, fmt.Errorf("read back %s: %w", b.object(key), ErrConflict)
	}
	if a.Size != c.Size() {
		return false, nil
	}
	sha, crc := sha256.New(), crc32.New(castagnoli)
	if _, err := io.Copy(io.MultiWriter(sha, crc), body); err != nil {
		return false, fmt.Errorf("read back: %w", err)
	}
	want := c.SHA256()
	return crc.Sum32() == c.CRC32C() && (want == "" || hex.EncodeToString(sha.Sum(nil)) == want), nil
}
