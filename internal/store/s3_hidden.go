package store

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// s3Class returns why objects of a storage class cannot be read, or "". It also refuses restored objects, because they
// can be read only for some days.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html
func s3Class(class string) string {
	switch class {
	case "GLACIER", "DEEP_ARCHIVE":
		return "storage class " + class + ", out of which nothing is read"
	}
	return ""
}

// s3Archive does the same for the archives within S3 Intelligent-Tiering.
func s3Archive(status string) string {
	if status == "" {
		return ""
	}
	return "archived (" + status + "), where nothing is read"
}

// s3Moved does the same for objects that redirect to another page when the bucket is served as a web site.
func s3Moved(location string) string {
	if location == "" {
		return ""
	}
	return "it stands for another page (x-amz-website-redirect-location)"
}

// locked describes an object that is encrypted with a customer's key. S3 refuses to describe it, with status 400. An
// answer to HEAD has no text that distinguishes this from other bad requests, but an answer to GET has one.
func (b *s3Bucket) locked(ctx context.Context, key string, err error) (Attrs, bool) {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() != http.StatusBadRequest {
		return Attrs{}, false
	}
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: b.full(key), ExpectedBucketOwner: b.owner,
		Range: aws.String("bytes=0-0")})
	if err == nil {
		out.Body.Close()
		return Attrs{}, false
	}
	var api smithy.APIError
	if !errors.As(err, &api) || !strings.Contains(strings.ToLower(api.ErrorCode()+" "+api.ErrorMessage()), "encrypt") {
		return Attrs{}, false
	}
	a, ok := found(ctx, b, key)
	a.Hidden = hiddenKey
	return a, ok
}

// hiddenKey is why clients cannot read an object that is encrypted with a key that each request must carry.
const hiddenKey = "encrypted with a customer's key, which clients do not have"
