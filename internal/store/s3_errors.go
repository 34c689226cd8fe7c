package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
)

// Errors of S3 besides those of every bucket.
var (
	errPrecondition = errors.New("a condition of the request does not hold") // 412
	errBusyKey      = errors.New("somebody else is writing the object")      // 409
	errNoUpload     = errors.New("no such upload")
	errMoved        = fmt.Errorf("%w: it is elsewhere", ErrUnfit) // and the answer does not say where
)

// failure adds to an error what was tried, and the matching sentinel error. It keeps the store's answer.
func (b *s3Bucket) failure(verb, key string, err error) error {
	return fmt.Errorf("%s %s: %w", verb, b.object(key), s3Failure(err))
}

// object names an object for messages.
func (b *s3Bucket) object(key string) string { return "s3://" + b.name + "/" + b.prefix + key }

// s3Code returns the code of an answer with an error, "" if there is none.
func s3Code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// s3Failure replaces the SDK's error text (operation, two ids and status) by the store's own words.
func s3Failure(err error) error {
	if err == nil {
		return nil
	}
	if none, ok := errors.AsType[*credentialsError](err); ok {
		return none
	}
	if said, ok := errors.AsType[*answered](err); ok {
		return said
	}
	if cut, ok := errors.AsType[*wait.CutShort](err); ok {
		return cut
	}
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) {
		return withoutCredentials(err)
	}
	if answer.HTTPStatusCode() == 0 {
		var request *url.Error
		if errors.As(err, &request) {
			return fmt.Errorf("no answer: %w", request.Err)
		}
		return fmt.Errorf("no answer: %w", answer.Err)
	}
	var api smithy.APIError
	code, text := "", http.StatusText(answer.HTTPStatusCode())
	if errors.As(err, &api) {
		code, text = api.ErrorCode(), api.ErrorCode()
		if said := strings.Join(strings.Fields(api.ErrorMessage()), " "); said != "" && said != code {
			text += ": " + outbound.Redact(said)
		}
	} else if broken, ok := errors.AsType[*smithy.DeserializationError](err); ok && answer.HTTPStatusCode()/100 == 2 {
		return cutOff(broken.Err)
	}
	if id := answer.ServiceRequestID(); id != "" {
		text += " (request " + id + ")"
	}
	if lies, signed := otherRegion(answer.Response.Response); lies != "" {
		return fmt.Errorf("%w: it lies in region %s, and was asked for in %s: %s (put region=%s into the store's bucket: URL)",
			ErrUnfit, lies, cmp.Or(signed, "another"), text, lies)
	}
	text = withAdvice(text, code)
	if kind := s3Kind(code, answer.HTTPStatusCode()); kind != nil {
		return fmt.Errorf("%w: %s", kind, text)
	}
	return fmt.Errorf("status %d: %s", answer.HTTPStatusCode(), text)
}

// withoutCredentials finds requests that were never sent because there were no credentials to sign them. Without it
// they would look like requests without an answer. The SDK has no type for that error. Its text begins with the
// operation and ends with the last place where the SDK looked.
func withoutCredentials(err error) error {
	_, why, ok := strings.Cut(err.Error(), "get credentials: ")
	if !ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &credentialsError{errors.New(why)}
}

func s3Kind(code string, status int) error {
	switch code {
	case "NoSuchBucket":
		return ErrUnfit
	case "PermanentRedirect", "AuthorizationHeaderMalformed":
		return errMoved
	case "NoSuchUpload":
		return errNoUpload
	case "ConditionalRequestConflict":
		return errBusyKey
	}
	switch status {
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrDenied
	case http.StatusPreconditionFailed:
		return errPrecondition
	case http.StatusConflict:
		return errBusyKey
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect:
		return errMoved
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return errors.ErrUnsupported
	}
	return nil
}
