package store

import (
	"errors"
	"strings"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"net/http"
)

// If a service repeats the header `Authorization` in its error, our error does not contain the credentials.
func TestEchoedCredentials(t *testing.T) {
	const secret = "ya29.Secret"
	said := "no entry with Bearer " + secret
	code, message := wordsOf([]byte(`{"message": "` + said + `"}`))
	s3 := s3Failure(&awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}}},
		Err:      &smithy.GenericAPIError{Code: "AccessDenied", Message: said},
	}})
	for name, err := range map[string]error{
		"words of a body": errors.New(code + message),
		"S3":              s3,
		"Google":          &gcsError{&googleapi.Error{Code: http.StatusForbidden, Message: said}},
		"Google's tokens": googleToken(&oauth2.RetrieveError{ErrorCode: "invalid_grant", ErrorDescription: said}),
	} {
		if text := err.Error(); strings.Contains(text, secret) || !strings.Contains(text, "no entry with Bearer …") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
