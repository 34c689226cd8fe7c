package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// List implements [Bucket].
func (b *s3Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[Attrs, error] {
	return func(yield func(Attrs, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: b.full(prefix), ExpectedBucketOwner: b.owner}
		if after != "" {
			in.StartAfter = b.full(after)
		}
		l := newListing(b, b.prefix, prefix, after)
		for more := true; more; {
			page, err := b.client.ListObjectsV2(ctx, in)
			if err != nil {
				yield(Attrs{}, b.failure("list", prefix, err))
				return
			}
			if page.Name != nil && *page.Name != b.name && !aliased(b.name) {
				yield(Attrs{}, l.refuse("it is of the bucket %.100q, not of %q", *page.Name, b.name))
				return
			}
			for i := range page.Contents {
				a, wanted, err := b.listed(l, page.EncodingType, &page.Contents[i])
				if err != nil {
					yield(Attrs{}, err)
					return
				}
				if wanted && !yield(a, nil) {
					return
				}
			}
			if more, err = s3Page(l, page); err != nil {
				yield(Attrs{}, err)
				return
			}
			in.ContinuationToken = page.NextContinuationToken
		}
	}
}

// aliased reports whether a name is that of an access point. Lists of an access point may have the name of its target.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html
func aliased(name string) bool {
	return strings.HasSuffix(name, "-s3alias") || strings.HasSuffix(name, "--ol-s3") || strings.HasSuffix(name, "--xa-s3")
}

// listed reads one object of a list.
func (b *s3Bucket) listed(l *listing, encoding types.EncodingType, o *types.Object) (_ Attrs, wanted bool, err error) {
	if o.Key == nil || o.Size == nil {
		return Attrs{}, false, l.refuse("it has an object without a key or without a size, after %.300q", l.last)
	}
	key, err := s3Key(l, encoding, *o.Key)
	if err != nil {
		return Attrs{}, false, err
	}
	wanted, err = l.object(key, *o.Size)
	return Attrs{Key: strings.TrimPrefix(key, b.prefix), Size: *o.Size, Version: aws.ToString(o.ETag), Modified: aws.ToTime(o.LastModified),
		Hidden: s3Class(string(o.StorageClass))}, wanted, err
}

// s3Key decodes a key that a list says it has encoded, even if no encoding was requested.
func s3Key(l *listing, encoding types.EncodingType, key string) (string, error) {
	switch encoding {
	case "":
		return key, nil
	case types.EncodingTypeUrl:
		plain, err := url.QueryUnescape(key)
		if err != nil {
			return "", l.refuse("the key %.300q is not in the encoding that it names, %s", key, encoding)
		}
		return plain, nil
	}
	return "", l.refuse("its keys are encoded as %.40q, which nobody asked for or knows", encoding)
}

// s3Page checks the end of a page, and reports whether another one follows.
func s3Page(l *listing, page *s3.ListObjectsV2Output) (more bool, err error) {
	if len(page.Contents) == 0 && page.Name == nil && page.IsTruncated == nil && page.KeyCount == nil { // an error's text, or a web page
		return false, l.refuse("what the server sent is no list of objects")
	}
	token := aws.ToString(page.NextContinuationToken)
	more = token != ""
	if page.IsTruncated != nil {
		more = *page.IsTruncated
	}
	objects, said := len(page.Contents), int(aws.ToInt32(page.KeyCount))
	switch {
	case len(page.CommonPrefixes) > 0:
		return false, l.refuse("it has keys put together to %.300q, though each was asked for", aws.ToString(page.CommonPrefixes[0].Prefix))
	case said > objects:
		return false, l.refuse("a page has %d keys, says the server, and there are %d", said, objects)
	}
	return more, l.page(objects, more, token)
}

// Clean implements [Cleaner]. It compares only times of the store with each other.
func (b *s3Bucket) Clean(ctx context.Context, prefix string, age time.Duration) (int, error) {
	n := 0
	in := &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: b.full(prefix), ExpectedBucketOwner: b.owner}
	l := newListing(b, b.prefix, "uploads below "+prefix, "")
	l.prefix = *in.Prefix
	for pages := s3.NewListMultipartUploadsPaginator(b.client, in, func(o *s3.ListMultipartUploadsPaginatorOptions) {
		o.StopOnDuplicateToken = true
	}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil && errors.Is(s3Failure(err), errNoUpload) { // some servers say so instead of sending an empty list
			return n, nil
		}
		if err != nil {
			return n, cannotClean(b.failure("list uploads below", prefix, err))
		}
		if page.Bucket != nil && *page.Bucket != b.name && !aliased(b.name) {
			return n, l.refuse("it is of the bucket %.100q, not of %q", *page.Bucket, b.name)
		}
		now := serverTime(page.ResultMetadata)
		for _, u := range page.Uploads {
			key, err := s3Key(l, page.EncodingType, aws.ToString(u.Key))
			if err == nil && !strings.HasPrefix(key, l.prefix) { // not ours to abort
				err = l.refuse("it has one of %.300q", key)
			}
			if err != nil {
				return n, err
			}
			if u.Initiated == nil || now.Sub(*u.Initiated) <= age {
				continue
			}
			err = b.abort(ctx, key, aws.ToString(u.UploadId))
			if err != nil && !errors.Is(err, errNoUpload) {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// cannotClean says what to do if the store cannot list unfinished uploads.
func cannotClean(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("the store has no ListMultipartUploads: let a life-cycle rule of the bucket abort them: %w", err)
	}
	return err
}
