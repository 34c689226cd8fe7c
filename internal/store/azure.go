package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"ociproxy/internal/credential"
	"ociproxy/internal/store/address"
	"ociproxy/internal/wait"
)

// azure is a container of an Azure storage account.
//
// Options.Region is not checked: only Azure's resource manager knows in which region an account lies; the blob service
// does not say. azure is no [Cleaner]: Azure itself drops uncommitted blocks after a week.
// https://learn.microsoft.com/rest/api/storageservices/put-block
type azure struct {
	account, name, prefix string // the prefix is empty or ends in "/"
	endpoint              string // of the account
	opt                   Options
	container             *container.Client
	key                   *container.SharedKeyCredential // either this
	token                 azcore.TokenCredential         // or this
}

func openAzure(_ context.Context, at address.Bucket, opt Options) (Bucket, error) {
	b := &azure{account: at.Name, name: at.Container, prefix: at.Prefix, opt: opt,
		endpoint: cmp.Or(at.Endpoint, address.AzureEndpoint(at.Name))}
	if err := b.connect(b.endpoint + "/" + at.Container); err != nil {
		return nil, fmt.Errorf("bucket %q: credentials: %w", at.Shown(), err)
	}
	return b, nil
}

// connect makes the client. It makes no request yet.
func (b *azure) connect(at string) error {
	options := &container.ClientOptions{ClientOptions: b.core()}
	var err error
	if key := azureKey(b.opt.Getenv, b.account); key != "" {
		if b.key, err = container.NewSharedKeyCredential(b.account, key); err != nil {
			return err
		}
		b.container, err = container.NewClientWithSharedKeyCredential(at, b.key, options)
		return err
	}
	// Tokens have an HTTP client of their own, because requests for tokens are not requests to the store.
	plain := azcore.ClientOptions{Transport: credential.Client(b.opt.timeout())}
	found, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: plain})
	if err != nil {
		return err
	}
	b.token = &azureTokens{found, b.opt.timeout() + b.opt.timeout()/2}
	b.container, err = container.NewClient(at, b.token, options)
	return err
}

// core returns the options of every client of the account.
func (b *azure) core() azcore.ClientOptions {
	client := b.opt.client()
	client.Transport = &unclear{client.Transport}
	return azcore.ClientOptions{Transport: client, PerCallPolicies: []policy.Policy{azureAttempts{}},
		Retry: policy.RetryOptions{MaxRetries: azureRetries, RetryDelay: azurePause}}
}

// azureAttempts is a policy in front of the library's retries of one request. When no time is left for another try, it
// returns the error of the last try.
type azureAttempts struct{}

// Do implements [policy.Policy].
func (azureAttempts) Do(req *policy.Request) (*http.Response, error) {
	ctx, why := wait.Noting(req.Raw().Context())
	resp, err := req.WithContext(ctx).Next()
	return resp, why(err)
}

// azureTokens limits the time of all steps that obtain a token, and reports in one line why there is none.
type azureTokens struct {
	azcore.TokenCredential
	within time.Duration
}

// GetToken implements [azcore.TokenCredential].
func (t *azureTokens) GetToken(ctx context.Context, opt policy.TokenRequestOptions) (azcore.AccessToken, error) {
	short, cancel := context.WithTimeout(ctx, t.within)
	defer cancel()
	token, err := t.TokenCredential.GetToken(short, opt)
	switch {
	case err == nil, ctx.Err() != nil:
		return token, err
	case short.Err() != nil:
		err = fmt.Errorf("nothing within %v", t.within)
	}
	text := strings.Join(strings.Fields(secrets.ReplaceAllString(err.Error(), "$1…")), " ")
	return token, final{fmt.Errorf("%w: no token for Azure, as AZURE_CLIENT_ID or a managed identity gives it: %s", ErrDenied, text)}
}

// azureRetries is how often one request is repeated. The pauses double from azurePause; together they last some twelve
// seconds.
const (
	azureRetries = 5
	azurePause   = 200 * time.Millisecond
)

// azureKey finds the shared key of an account. AZURE_STORAGE_KEY_ACCOUNT (with the account in capitals) comes first; it
// is for a machine that writes to several accounts. Otherwise it is AZURE_STORAGE_KEY, as for Azure's command-line
// tool, unless AZURE_STORAGE_ACCOUNT names another account.
func azureKey(getenv func(string) string, account string) string {
	if getenv == nil {
		getenv = os.Getenv
	}
	if key := getenv("AZURE_STORAGE_KEY_" + strings.ToUpper(account)); key != "" {
		return key
	}
	if of := getenv("AZURE_STORAGE_ACCOUNT"); of != "" && of != account {
		return ""
	}
	return getenv("AZURE_STORAGE_KEY")
}

func (b *azure) String() string {
	return "azblob://" + strings.TrimSuffix(b.account+"/"+b.name+"/"+b.prefix, "/")
}

// blob returns the client of a key.
func (b *azure) blob(key string) (*blockblob.Client, error) {
	if err := address.CheckKey(key); err != nil {
		return nil, err
	}
	return b.container.NewBlockBlobClient(b.prefix + key), nil
}

// Check implements [Bucket]. The name of an account identifies its owner: names are unique, and an account of another
// owner accepts neither our key nor our identity.
func (b *azure) Check(ctx context.Context, probe string) error {
	if b.opt.Owner != "" && b.opt.Owner != b.account {
		return fmt.Errorf("%s: the account is not %s: %w", b, b.opt.Owner, ErrUnfit)
	}
	return checkConditions(ctx, b, probe)
}

// azureFailure adds the sentinel error that matches an error of the service. version is the version that the request
// required of the blob.
// https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
func azureFailure(err error, version string) error {
	var resp *azcore.ResponseError
	if !errors.As(err, &resp) {
		return err
	}
	brief := &azureError{resp}
	switch {
	case bloberror.HasCode(err, bloberror.ContainerNotFound, bloberror.ContainerDisabled, bloberror.ContainerBeingDeleted, bloberror.AccountIsDisabled):
		return fmt.Errorf("%w: %w", ErrUnfit, brief)
	case resp.StatusCode == http.StatusNotFound && version == "":
		return fmt.Errorf("%w: %w", ErrNotFound, brief)
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrDenied, brief)
	case bloberror.HasCode(err, bloberror.LeaseIDMissing, bloberror.BlobImmutableDueToPolicy):
		return fmt.Errorf("%w: %w", ErrDenied, brief)
	case bloberror.HasCode(err, bloberror.SourceConditionNotMet):
		return fmt.Errorf("%w: %w", ErrConflict, brief)
	case version == "" && (bloberror.HasCode(err, bloberror.BlobAlreadyExists) || resp.StatusCode == http.StatusPreconditionFailed):
		return fmt.Errorf("%w: %w", ErrExists, brief)
	case resp.StatusCode == http.StatusPreconditionFailed, resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrConflict, brief)
	}
	return brief
}

// azureError gives the error of an answer in one line. The library's text has some ten lines, with the complete body.
type azureError struct{ *azcore.ResponseError }

func (e *azureError) Error() string {
	text := fmt.Sprintf("status %d %s", e.StatusCode, cmp.Or(e.ErrorCode, http.StatusText(e.StatusCode)))
	if e.RawResponse != nil {
		text += comeAgain(e.RawResponse.Header)
	}
	if e.RawResponse != nil && e.RawResponse.Header.Get("X-Ms-Request-Id") != "" {
		text += " (request " + e.RawResponse.Header.Get("X-Ms-Request-Id") + ")"
	}
	return withAdvice(text, e.ErrorCode)
}

func (e *azureError) Unwrap() error { return e.ResponseError }

// azureConditions makes the precondition of a write: the blob has this version, or, if version is "", does not exist.
func azureConditions(version string) *blob.AccessConditions {
	none := azcore.ETagAny
	if version == "" {
		return &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: &none}}
	}
	tag := azcore.ETag(`"` + version + `"`)
	return &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: &tag}}
}

// azureVersion turns an ETag into a version. ETags have quotes in headers and none in lists.
func azureVersion(tag *azcore.ETag) string {
	if tag == nil {
		return ""
	}
	return strings.Trim(string(*tag), `"`)
}
