package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

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
	return b.checkParts(ctx, probe)
}

// checkParts makes sure that the condition holds for an object in parts too: some servers know it for whole ones only.
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

// explain says why a bucket cannot even be looked at.
func (b *s3Bucket) explain(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%s: %w: there is no such bucket", b, ErrUnfit)
	case errors.Is(err, ErrUnfit):
		return fmt.Errorf("%s: %w: it does not lie in region %s", b, err, b.client.Options().Region)
	case errors.Is(err, ErrDenied):
		if b.owner != nil {
			_, again := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name})
			if again == nil {
				return fmt.Errorf("%s: %w: it belongs to another account than %s", b, ErrUnfit, *b.owner)
			}
		}
		return fmt.Errorf("%s: %w: it belongs to somebody else, or these credentials lack s3:ListBucket: %w", b, ErrUnfit, err)
	}
	return fmt.Errorf("%s: %w", b, err)
}

// checkRegion compares the bucket's region with the one it should lie in. Not every server tells.
func (b *s3Bucket) checkRegion(ctx context.Context, region string) error {
	if b.region == "" {
		return nil
	}
	if region == "" {
		out, err := b.client.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &b.name, ExpectedBucketOwner: b.owner})
		if err != nil {
			return nil //nolint:nilerror // a right that nothing else needs
		}
		switch region = string(out.LocationConstraint); region {
		case "":
			if b.endpoint != "" {
				return nil // of other servers it means nothing
			}
			region = "us-east-1"
		case "EU":
			region = "eu-west-1"
		}
	}
	if region != b.region {
		return fmt.Errorf("%w: it lies in region %s, not in %s", ErrUnfit, region, b.region)
	}
	return nil
}
