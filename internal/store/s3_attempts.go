package store

import (
	"context"
	"errors"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ociproxy/internal/wait"
)

// attempts adds two steps to the SDK's requests, so that it sees the single tries of one request. When no time is left
// for another try, the error is that of the last try, in the store's own words.
func (b *s3Bucket) attempts(stack *middleware.Stack) error {
	err := stack.Initialize.Add(middleware.InitializeMiddlewareFunc("WhyItFailed", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		ctx, why := wait.Noting(ctx)
		out, m, err := next.HandleInitialize(ctx, in)
		return out, m, why(err)
	}), middleware.Before)
	if err != nil {
		return err
	}
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("Attempt", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		out, m, err := b.attempt(ctx, in, next)
		if code := s3Status(err); code >= 500 || code == http.StatusTooManyRequests {
			wait.Failed(ctx, s3Failure(err))
		}
		return out, m, err
	}), "Retry", middleware.After)
}

// attempt sends a request. If the server, or a proxy before it, refuses Expect: 100-continue, it sends the request once
// more at once without that header, and no longer uses the header. The header only saves sending a part to a store that
// will not take it.
func (b *s3Bucket) attempt(
	ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
) (middleware.FinalizeOutput, middleware.Metadata, error) {
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok || req.Header.Get("Expect") == "" {
		return next.HandleFinalize(ctx, in)
	}
	without := req.Clone() // later steps change the request, for example the endpoint's path
	without.Header.Del("Expect")
	if !b.noExpect.Load() {
		out, m, err := next.HandleFinalize(ctx, in)
		if s3Status(err) != http.StatusExpectationFailed || without.RewindStream() != nil {
			return out, m, err
		}
		b.noExpect.Store(true)
	}
	in.Request = without
	return next.HandleFinalize(ctx, in)
}

// s3Status returns the status of the answer that caused an error, 0 if there was no answer.
func s3Status(err error) int {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) {
		return 0
	}
	return answer.HTTPStatusCode()
}
