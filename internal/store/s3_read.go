package store

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Head implements [Bucket].
func (b *s3Bucket) Head(ctx context.Context, key string) (Attrs, error) {
	out, err := b.head(ctx, key)
	if a, ok := b.locked(ctx, key, err); ok {
		return a, nil
	}
	if err != nil {
		return Attrs{}, b.failure("head", key, err)
	}
	return Attrs{
		Key: key, Size: aws.ToInt64(out.ContentLength), Version: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified),
		SHA256:          wholeSHA256(out.ChecksumSHA256, out.ChecksumType),
		Header:          Header{ContentType: aws.ToString(out.ContentType), CacheControl: aws.ToString(out.CacheControl)},
		ContentEncoding: aws.ToString(out.ContentEncoding),
		Hidden: cmp.Or(s3Class(string(out.StorageClass)), s3Archive(string(out.ArchiveStatus)),
			s3Moved(aws.ToString(out.WebsiteRedirectLocation))),
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

// checksumMode returns the mode that requests the store's checksum, or "".
func checksumMode(sums bool) types.ChecksumMode {
	if sums {
		return types.ChecksumModeEnabled
	}
	return ""
}

// wholeSHA256 returns a checksum in hexadecimal if it is that of the object's bytes. For an object written in parts,
// the store has only a checksum of the parts' checksums. It is marked as such, or ends in "-" and the number of parts.
func wholeSHA256(sum *string, kind types.ChecksumType) string {
	if sum == nil || kind == types.ChecksumTypeComposite {
		return ""
	}
	raw, err := base64.StdEncoding.DecodeString(*sum) // fails if there is a "-"
	if err != nil || len(raw) != 32 {
		return ""
	}
	return hex.EncodeToString(raw)
}

// Delete implements [Bucket]. It also compares the version beforehand, for servers that do not know the condition.
// There remains a moment in which such a server deletes what another writer has just written.
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
