package store

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"ociproxy/internal/command"
	"ociproxy/internal/outbound"
)

// credentialClient returns the client for the SDK's requests for credentials. It uses the environment's proxy and
// authorities, and limits the time. It has the SDK's own type, because the SDK then adds the authorities of a profile's
// ca_bundle.
func (o Options) credentialClient() *awshttp.BuildableClient {
	like := outbound.New(outbound.Options{})
	return awshttp.NewBuildableClient().WithTimeout(o.timeout()).WithTransportOptions(func(t *http.Transport) {
		t.Proxy, t.OnProxyConnectResponse = like.Proxy, like.OnProxyConnectResponse
		t.ResponseHeaderTimeout, t.IdleConnTimeout = o.timeout(), 10*time.Second
		t.TLSClientConfig.RootCAs = systemRoots(like)
	})
}

// credentialRetryer retries the SDK's requests for credentials, but not one that used up its time: no caller waits for
// another one.
func credentialRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.RateLimiter = ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			if slow, ok := errors.AsType[net.Error](err); ok && slow.Timeout() || outbound.Certain(err) {
				return aws.FalseTernary
			}
			return aws.UnknownTernary
		})}, o.Retryables...)
	})
}

// systemRoots returns the authorities that a transport trusts, as a pool to which the SDK can add.
func systemRoots(t *http.Transport) *x509.CertPool {
	if t.TLSClientConfig != nil && t.TLSClientConfig.RootCAs != nil {
		return t.TLSClientConfig.RootCAs
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return x509.NewCertPool()
	}
	return roots
}

// truster is a transport that can be made to trust other authorities before its first request.
type truster interface{ Trust(roots *x509.CertPool) }

// profileOf returns what the SDK read from the profile.
func profileOf(cfg aws.Config) config.SharedConfig {
	for _, source := range cfg.ConfigSources {
		if shared, ok := source.(config.SharedConfig); ok {
			return shared
		}
	}
	return config.SharedConfig{}
}

// bounded limits how long the sources of credentials of a configuration may take. Without it, the SDK waits as long as
// any process that a credential_process started keeps its output open.
func (b *s3Bucket) bounded(cfg aws.Config) aws.CredentialsProvider {
	shared := profileOf(cfg)
	if own := b.fromProcess(cfg, &shared); own != nil {
		cfg.Credentials = aws.NewCredentialsCache(own)
	}
	return &timely{cfg.Credentials, b.opt.timeout() + b.opt.timeout()/2}
}

// fromProcess returns credentials from a profile's credential_process, or from that of the profile with which it takes
// a role. It returns nil if the credentials have another source, or the environment comes first. The order of sources
// is that of the SDK.
func (b *s3Bucket) fromProcess(cfg aws.Config, p *config.SharedConfig) aws.CredentialsProvider {
	if b.profile == "" && (b.opt.Getenv("AWS_ACCESS_KEY_ID") != "" || b.opt.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "") || b.static {
		return nil
	}
	var base aws.CredentialsProvider
	switch {
	case p.Source != nil:
		base = b.fromProcess(cfg, p.Source)
	case p.Credentials.HasKeys(), p.CredentialSource != "", p.WebIdentityTokenFile != "", p.SSOAccountID != "", p.SSORoleName != "",
		p.SSOSessionName != "", p.LoginSession != "":
	case p.CredentialProcess != "":
		base = &process{p.CredentialProcess, p.Profile, min(b.opt.timeout(), processPatience)}
	}
	if base == nil || p.RoleARN == "" {
		return base
	}
	cfg.Credentials = aws.NewCredentialsCache(base)
	return stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), p.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = p.RoleSessionName
		o.ExternalID = some(p.ExternalID)
		if d := p.RoleDurationSeconds; d != nil && *d > 15*time.Minute {
			o.Duration = *d
		}
	})
}

// processPatience is how long a credential_process may take. It is less than the limit for all steps (see timely),
// because the SDK lets the program go on when its caller gives up. Then nothing would kill the program or name it in
// the error.
const processPatience = 20 * time.Second

// process runs a profile's credential_process.
type process struct {
	text, profile string
	within        time.Duration
}

// Retrieve implements [aws.CredentialsProvider]. No error contains what the program wrote: it may contain the keys.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
func (p *process) Retrieve(ctx context.Context) (aws.Credentials, error) {
	shell, flag := "sh", "-c"
	if runtime.GOOS == "windows" {
		shell, flag = "cmd.exe", "/C"
	}
	fail := func(err error) (aws.Credentials, error) {
		return aws.Credentials{}, fmt.Errorf("credential_process of profile %s: %w", p.profile, err)
	}
	out, err := command.Run(ctx, command.Command{Name: shell, Args: []string{flag, p.text}, Env: os.Environ(), Within: p.within})
	if err != nil {
		return fail(err)
	}
	var said struct {
		Version                                               int
		AccessKeyId, SecretAccessKey, SessionToken, AccountId string //nolint:revive // the names of the format
		Expiration                                            *time.Time
	}
	switch err := json.Unmarshal(out, &said); {
	case err != nil:
		return fail(errors.New("it wrote no JSON of credentials"))
	case said.Version != 1:
		return fail(fmt.Errorf("version %d, want 1", said.Version))
	case said.AccessKeyId == "" || said.SecretAccessKey == "":
		return fail(errors.New("no AccessKeyId or SecretAccessKey in what it wrote"))
	}
	c := aws.Credentials{AccessKeyID: said.AccessKeyId, SecretAccessKey: said.SecretAccessKey, SessionToken: said.SessionToken,
		AccountID: said.AccountId, Source: "credential_process"}
	if said.Expiration != nil {
		c.CanExpire, c.Expires = true, *said.Expiration
	}
	return c, nil
}

// timely limits the total time of all steps that obtain credentials.
type timely struct {
	aws.CredentialsProvider
	within time.Duration
}

// Retrieve implements [aws.CredentialsProvider].
func (t *timely) Retrieve(ctx context.Context) (aws.Credentials, error) {
	short, cancel := context.WithTimeout(ctx, t.within)
	defer cancel()
	c, err := t.CredentialsProvider.Retrieve(short)
	err = outbound.Explain(err)
	switch {
	case err == nil, ctx.Err() != nil:
		return c, err
	case short.Err() != nil:
		err = fmt.Errorf("nothing within %v", t.within)
	}
	return c, final{&credentialsError{err}} // failures worth another try have already been retried
}

// credentialsError says why a request was never sent.
type credentialsError struct{ error }

func (c *credentialsError) Error() string {
	text := strings.ReplaceAll(c.error.Error(), "failed to refresh cached credentials, ", "")
	return ErrDenied.Error() + ": no credentials for S3, as AWS_ACCESS_KEY_ID or a role gives them: " + text
}
func (c *credentialsError) Unwrap() []error { return []error{ErrDenied, c.error} }

// sdkLog passes the SDK's messages to our log. The SDK logs secrets only if it is set to log requests, and it is not.
func (o Options) sdkLog() logging.Logger {
	return logging.LoggerFunc(func(c logging.Classification, format string, v ...any) {
		text := secrets.ReplaceAllString(fmt.Sprintf(format, v...), "$1…")
		if c == logging.Warn {
			o.logger().Warn("AWS's library", "message", text)
			return
		}
		o.logger().Debug("AWS's library", "message", text)
	})
}
