package store

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/internal/outbound"
	"ociproxy/internal/store/address"
)

// s3Bucket is a bucket of Amazon S3, or of a server with the same protocol.
//
// A version is an ETag. The same bytes, written in the same way, have the same ETag, so a compare-and-swap does not
// notice that an object was changed and changed back. Objects written in one request have the SHA-256 of the complete
// object. The store knows none for objects written in parts; their checksum of checksums is not reported as one.
type s3Bucket struct {
	name, prefix string // the prefix is "" or ends in "/"
	region       string // where it must lie; "" accepts any
	owner        *string
	endpoint     string // "" means Amazon's
	profile      string
	tries        int  // of one request
	static       bool // its keys come from the environment
	opt          Options
	client       *s3.Client
	partSize     int64 // the least size of a part
	*Learned
}

const (
	s3Attempts   = 8                // of one request, unless AWS_MAX_ATTEMPTS says otherwise
	s3MaxBackoff = 10 * time.Second // between two of them
)

func openS3(ctx context.Context, at address.Bucket, opt Options) (Bucket, error) {
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	b := &s3Bucket{name: at.Name, prefix: at.Prefix, region: opt.Region, endpoint: at.Endpoint,
		profile: cmp.Or(at.Profile, opt.Getenv("AWS_PROFILE")), opt: opt, partSize: minPart, Learned: opt.Learned}
	if opt.Owner != "" {
		b.owner = &opt.Owner
	}
	cfg, err := b.config(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("bucket %q: %w", at.Shown(), err)
	}
	cfg.Region = cmp.Or(at.Region, opt.Region, cfg.Region)
	if b.region == "" && b.amazon() {
		b.region = at.Region // for other services, the region is only a word to sign with
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("bucket %q: no region: add ?region=…, at other services than Amazon's what they sign for: auto, us-east-1", at.Shown())
	}
	b.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = at.PathStyle
		o.DisableLogOutputChecksumValidationSkipped = true
		o.HTTPClient = b.http(cfg)
		o.Retryer = newRetryer(b.tries, &b.contact)
		o.APIOptions = append(o.APIOptions, b.attempts)
		if b.endpoint != "" {
			o.BaseEndpoint = &b.endpoint
		}
	})
	return b, nil
}

// config finds the credentials: keys in the environment, else the SDK's chain (profiles, web identity, the machine's
// role). The environment may also name an endpoint other than Amazon's. config makes no request.
func (b *s3Bucket) config(ctx context.Context, at address.Bucket) (aws.Config, error) {
	b.tries = s3Attempts
	if text := b.opt.Getenv("AWS_MAX_ATTEMPTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return aws.Config{}, fmt.Errorf("AWS_MAX_ATTEMPTS %q: want a number from 1", text)
		}
		b.tries = n
	}
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(b.opt.credentialClient()),
		config.WithLogger(b.opt.sdkLog()),
		config.WithRetryer(func() aws.Retryer { return credentialRetryer() }),
		// Use our own choice of checksums, not the SDK's default CRC32 trailers: not every server understands those.
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if at.Amazon() { // Amazon's token service has a host in each region. Without a region, a web identity got no credentials.
		options = append(options, config.WithDefaultRegion(cmp.Or(at.Region, b.opt.Region)))
	}
	if file := b.opt.Getenv("AWS_CONFIG_FILE"); file != "" {
		options = append(options, config.WithSharedConfigFiles([]string{file}))
	}
	if file := b.opt.Getenv("AWS_SHARED_CREDENTIALS_FILE"); file != "" {
		options = append(options, config.WithSharedCredentialsFiles([]string{file}))
	}
	id, secret := b.opt.Getenv("AWS_ACCESS_KEY_ID"), b.opt.Getenv("AWS_SECRET_ACCESS_KEY")
	switch {
	case b.profile != "" && (at.Profile != "" || id == ""):
		options = append(options, config.WithSharedConfigProfile(b.profile))
	case id != "" && secret != "":
		b.static = true
		options = append(options, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(id, secret, b.opt.Getenv("AWS_SESSION_TOKEN"))))
	}
	if _, err := outbound.Roots(); err != nil {
		return aws.Config{}, err // this error names the variable; that of the SDK does not
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, err
	}
	cfg.Region = cmp.Or(b.opt.Getenv("AWS_REGION"), cfg.Region)
	if !b.static {
		cfg.Credentials = b.bounded(cfg)
	}
	if b.endpoint == "" {
		b.endpoint = cmp.Or(b.opt.Getenv("AWS_ENDPOINT_URL_S3"), b.opt.Getenv("AWS_ENDPOINT_URL"), aws.ToString(cfg.BaseEndpoint))
	}
	return cfg, nil
}

// http returns the client for requests. It also trusts the authorities that a profile's ca_bundle names.
func (b *s3Bucket) http(cfg aws.Config) *http.Client {
	opt := b.opt
	found, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if more := profileOf(cfg).CustomCABundle != "" || opt.Transport == nil && os.Getenv(outbound.CAVariable) != ""; ok && more {
		roots := found.GetTransport().TLSClientConfig.RootCAs
		if t, ok := opt.Transport.(truster); ok {
			t.Trust(roots)
		} else if opt.Transport == nil {
			own := shared().Clone()
			own.TLSClientConfig = &tls.Config{RootCAs: roots} //nolint:gosec // Go's default is TLS 1.2
			opt.Transport = own
		}
	}
	client := opt.client()
	client.Transport = &regions{&unclear{next: client.Transport}}
	return client
}

// newRetryer returns a retryer that repeats a request after the connection broke or the server is busy. Repeats of
// other requests never stop it: the limit on the tries of each request is enough. It does not send bytes again whose
// checksum was wrong, because they may be wrong on this machine.
func newRetryer(attempts int, contact *outbound.Verdicts) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.MaxBackoff = s3MaxBackoff
		usual := retry.NewExponentialJitterBackoff(s3MaxBackoff)
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, err error) (time.Duration, error) {
			if _, ok := errors.AsType[soon](err); ok {
				return aMoment, nil
			}
			d, err := usual.BackoffDelay(attempt, err)
			return contact.Pause(d), err
		})
		o.RateLimiter = ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(neverFinal)}, o.Retryables...)
		o.Retryables = append(o.Retryables, retry.RetryableErrorCode{Codes: map[string]struct{}{
			"IncompleteBody": {}, "OperationAborted": {},
		}}, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}, http.StatusRequestTimeout: {}}})
	})
}

// neverFinal refuses to retry a request that would fail again, and leaves other errors to the other rules.
func neverFinal(err error) aws.Ternary {
	if isFinal(err) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

func (b *s3Bucket) String() string { return "s3://" + strings.TrimSuffix(b.name+"/"+b.prefix, "/") }

// amazon reports whether the bucket belongs to Amazon's own service, at any of its endpoints. b.endpoint may come from
// the environment.
func (b *s3Bucket) amazon() bool { return address.Bucket{Scheme: "s3", Endpoint: b.endpoint}.Amazon() }

// full returns a key as the store knows it.
func (b *s3Bucket) full(key string) *string { return aws.String(b.prefix + key) }
