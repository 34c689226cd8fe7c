package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Check implements [Bucket].
func (b *s3Bucket) Check(ctx context.Context, probe string) error {
	out, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name, ExpectedBucketOwner: b.owner})
	if err != nil {
		return b.explain(ctx, s3Failure(err))
	}
	if err := b.checkRegion(ctx, deref(out.BucketRegion)); err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	if err := checkConditions(ctx, b, probe); err != nil || probe == "" {
		return err
	}
	if err := b.checkHashes(ctx, probe); err != nil {
		return err
	}
	return b.checkParts(ctx, probe)
}

// checkHashes finds out whether the store compares the bytes that it receives with the hash that the request was signed
// with. If it does not, everything that is written there is read back.
func (b *s3Bucket) checkHashes(ctx context.Context, probe string) error {
	key, size, other := probe+rand.Text(), int64(2), Bytes([]byte("2\n")).SHA256()
	star, _ := condition("")
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: b.full(key), ExpectedBucketOwner: b.owner,
		Body: strings.NewReader("1\n"), ContentLength: &size, IfNoneMatch: star}, signed(other), func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return nil //nolint:nilerror // the store refused it, as it should
	}
	if !b.blind.Swap(true) {
		b.opt.logger().Info("the store compares no hashes: what is written is read back", "bucket", b.String())
	}
	if err := b.Delete(context.WithoutCancel(ctx), key, ""); err != nil {
		return fmt.Errorf("%s: remove the probe: %w", b, err)
	}
	return nil
}

// checkParts makes sure that the store also honours the condition for an object in parts. Some servers do so only for
// objects in one piece.
func (b *s3Bucket) checkParts(ctx context.Context, probe string) error {
	key := probe + rand.Text()
	if _, err := b.Put(ctx, key, Bytes([]byte("1\n")), Header{}, ""); err != nil {
		return fmt.Errorf("%s: write a probe: %w", b, err)
	}
	parts := Bytes([]byte("2\n"))
	u, err := b.begin(ctx, key, parts.Size(), Header{}, true)
	if err == nil {
		err = u.orAbort(ctx, func() error {
			_, err := u.run(ctx, parts, "")
			return err
		})
		if errors.Is(err, ErrExists) {
			err = nil
		} else {
			err = unfit("an object that is there was written in parts as if there were none", err)
		}
	}
	if gone := b.Delete(context.WithoutCancel(ctx), key, ""); gone != nil {
		err = errors.Join(err, fmt.Errorf("remove the probe: %w", gone))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	return nil
}

// explain says why a bucket cannot even be read. The answer to HEAD has no body, so explain asks again with a request
// whose answer has one.
func (b *s3Bucket) explain(ctx context.Context, err error) error {
	_, unsigned := errors.AsType[*credentialsError](err)
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%s: %w: there is no such bucket (%s)", b, ErrUnfit, adviceBucket)
	case errors.Is(err, errors.ErrUnsupported) && b.owner != nil:
		return fmt.Errorf("%s: %w: it does not know of owners, leave out `owner`: %w", b, ErrUnfit, err)
	case errors.Is(err, ErrUnfit) && errors.Is(err, errMoved):
		return fmt.Errorf("%s: %w: it does not lie in region %s", b, err, b.client.Options().Region)
	case errors.Is(err, ErrDenied) && !unsigned:
		if b.owner != nil {
			_, again := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name})
			if again == nil {
				return fmt.Errorf("%s: %w: it belongs to another account than %s", b, ErrUnfit, *b.owner)
			}
		}
		one := int32(1)
		_, list := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.name, MaxKeys: &one, ExpectedBucketOwner: b.owner})
		if why := s3Failure(list); why != nil && errors.Is(why, ErrDenied) {
			err = why
		}
		if code := s3Code(list); code != "AccessDenied" && advices[code] != "" { // the reason is not missing rights
			return fmt.Errorf("%s: %w", b, err)
		}
		return fmt.Errorf("%s: %w: it belongs to somebody else, or these credentials lack s3:ListBucket: %w", b, ErrUnfit, err)
	}
	return fmt.Errorf("%s: %w", b, err)
}

// checkRegion compares the bucket's region with the one in which it should lie. Not every server reports it. Services
// other than Amazon's may report "", the name that S3 began with, or a name that is no place; these prove nothing.
func (b *s3Bucket) checkRegion(ctx context.Context, region string) error {
	if b.region == "" {
		return nil
	}
	if region == "" {
		out, err := b.client.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &b.name, ExpectedBucketOwner: b.owner})
		if err != nil {
			return nil //nolint:nilerror // a right that nothing else needs
		}
		switch region = string(out.LocationConstraint); {
		case region == "" && b.amazon():
			region = "us-east-1"
		case region == "EU":
			region = "eu-west-1"
		}
	}
	if !b.amazon() && slices.Contains([]string{"", "us-east-1", "auto", "default"}, region) {
		return nil
	}
	if region != b.region {
		return fmt.Errorf("%w: it lies in region %s, not in %s", ErrUnfit, region, b.region)
	}
	return nil
}
