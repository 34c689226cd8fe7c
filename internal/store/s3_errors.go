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

// What S3 answers besides what every bucket answers.
var (
	errPrecondition = errors.New("a condition of the request does not hold") // 412
	errBusyKey      = errors.New("somebody else is writing the object")      // 409
	errNoUpload     = errors.New("no such upload")
	errMoved        = fmt.Errorf("%w: it is elsewhere", ErrUnfit) // and nothing tells where
)

// failure says what was tried and what the store answered, with the sentinel that is meant.
func (b *s3Bucket) failure(verb, key string, err error) error {
	return fmt.Errorf("%s %s: %w", verb, b.object(key), s3Failure(err))
}

// object names an object in messages.
func (b *s3Bucket) object(key string) string { return "s3://" + b.name + "/" + b.prefix + key }

// s3Code is the code of an answer that is an error, "" when there is none.
func s3Code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// s3Failure replaces the SDK's account of an answer, which names the operation, two ids and the status, by the store's own words.
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

// withoutCredentials tells requests that were never sent, since there is nothing to sign them with, from those without an answer: the
// SDK has no type for that. Its account begins with the operation, and ends with the last place where it looked.
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
