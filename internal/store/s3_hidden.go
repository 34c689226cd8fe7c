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

// s3Class says why objects of a storage class cannot be read. One that was restored is so for some days only.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html
func s3Class(class string) string {
	switch class {
	case "GLACIER", "DEEP_ARCHIVE":
		return "storage class " + class + ", out of which nothing is read"
	}
	return ""
}

// s3Archive is that of the archives within S3 Intelligent-Tiering.
func s3Archive(status string) string {
	if status == "" {
		return ""
	}
	return "archived (" + status + "), where nothing is read"
}

// s3Moved is that of objects that stand for another page, where the bucket is served as a web site.
func s3Moved(location string) string {
	if location == "" {
		return ""
	}
	return "it stands for another page (x-amz-website-redirect-location)"
}

// locked describes an object whose description S3 refuses with 400, since it is encrypted with a customer's key. An answer to HEAD has
// no text that would tell it from other bad requests, one to GET has.
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

// hiddenKey is why nobody else reads what was encrypted with a key that comes with each request.
const hiddenKey = "encrypted with a customer's key, which clients do not have"
