package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
)

// checkConditions makes sure that we may write to a bucket and that it honours conditional writes. It tests with an
// object below probe.
func checkConditions(ctx context.Context, b Bucket, probe string) error {
	if probe == "" {
		return nil
	}
	key := probe + rand.Text()
	first, err := b.Put(ctx, key, Bytes([]byte("1\n")), Header{}, "")
	if err != nil {
		return fmt.Errorf("%s: write a probe, if nothing is there: %w", b, unable(err))
	}
	if err = probeConditions(ctx, b, key, first.Version); err != nil {
		err = fmt.Errorf("%s: %w", b, err)
	}
	// This also happens after the caller has given up: the probe must not stay.
	if gone := b.Delete(context.WithoutCancel(ctx), key, ""); gone != nil {
		err = errors.Join(err, fmt.Errorf("%s: remove the probe: %w", b, gone))
	}
	return err
}

func probeConditions(ctx context.Context, b Bucket, key, version string) error {
	if _, err := b.Put(ctx, key, Bytes([]byte("2\n")), Header{}, ""); !errors.Is(err, ErrExists) {
		return unfit("an object that is there was written as if there were none", err)
	}
	second, err := b.Put(ctx, key, Bytes([]byte("3\n")), Header{}, version)
	if err != nil {
		return fmt.Errorf("replace a probe of a known version: %w", unable(err))
	}
	if second.Version == version {
		return unfit("a version stayed the same over a write", nil)
	}
	if _, err = b.Put(ctx, key, Bytes([]byte("4\n")), Header{}, version); !errors.Is(err, ErrConflict) {
		return unfit("an object was replaced that had another version", err)
	}
	return nil
}

// needs says what to do about a bucket that cannot do conditional writes.
const needs = "a store must refuse to write what is there (If-None-Match, If-Match): take one that docs/mirroring.md lists as able"

// unfit describes what a bucket did instead of refusing. err is the bucket's error, nil if it accepted the write.
func unfit(did string, err error) error {
	if err != nil {
		return fmt.Errorf("write on a condition that does not hold: %w", unable(err))
	}
	return fmt.Errorf("%w: conditional writes: %s; %s", ErrUnfit, did, needs)
}

// unable adds to the error of a write that the store does not support the request. A store without conditional writes
// answers a condition in this way.
func unable(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("%w: conditional writes: %w; %s", ErrUnfit, err, needs)
	}
	return err
}

// deleted turns the store's error into the error of [Bucket.Delete]. It is no error if there is no object. Some stores
// report a conflict if the object is gone, so deleted asks with Head.
func deleted(ctx context.Context, b Bucket, key string, err error) error {
	if errors.Is(err, ErrConflict) {
		if _, gone := b.Head(ctx, key); errors.Is(gone, ErrNotFound) {
			return nil
		}
	}
	if err == nil || errors.Is(err, ErrNotFound) && !errors.Is(err, ErrConflict) {
		return nil
	}
	return fmt.Errorf("delete %s of %s: %w", key, b, err)
}
