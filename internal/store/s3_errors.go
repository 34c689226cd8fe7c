package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"ociproxy/internal/wait"
)

// What S3 answers besides what every bucket answers.
var (
	errPrecondition = errors.New("a condition of the request does not hold") // 412
	errBusyKey      = errors.New("somebody else is writing the object")      // 409
	errNoUpload     = errors.New("no such upload")
)

// failure says what was tried and what the store answered, with the sentinel that is meant.
func (b *s3Bucket) failure(verb, key string, err error) error {
	return fmt.Errorf("%s %s: %w", verb, b.object(key), s3Failure(err))
}

// object names an object in messages.
func (b *s3Bucket) object(key string) string { return "s3://" + b.name + "/" + b.prefix + key }

// s3Failure replaces the SDK's account of an answer, which names the operation, two ids and the status, by the store's own words.
func s3Failure(err error) error {
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
		if api.ErrorMessage() != "" {
			text += ": " + api.ErrorMessage()
		}
	}
	if id := answer.ServiceRequestID(); id != "" {
		text += " (request " + id + ")"
	}
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
	return fmt.Errorf("%w: no credentials for S3, as AWS_ACCESS_KEY_ID or a role gives them: %s", ErrDenied, why)
}

func s3Kind(code string, status int) error {
	switch code {
	case "NoSuchBucket", "PermanentRedirect", "AuthorizationHeaderMalformed":
		return ErrUnfit
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
	case http.StatusMovedPermanently:
		return ErrUnfit
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return errors.ErrUnsupported
	}
	return nil
}
