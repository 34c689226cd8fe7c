package store

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"

	"ociproxy/internal/outbound"

	"golang.org/x/oauth2"
)

const (
	adviceBucket = "create it, or correct its name in the store's bucket: URL"
	adviceRights = "give these credentials the rights that docs/mirroring.md, Permissions, names"
	adviceKey    = "look at the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile, must be those of this service"
	adviceClock  = "set this machine's clock"
	adviceOver   = "the credentials have ended: get new ones"
	adviceAzure  = "look at AZURE_STORAGE_KEY, or at the identity, and at this machine's clock"
	adviceGoogle = "look at the credentials: GOOGLE_APPLICATION_CREDENTIALS, or this machine's service account, and at its clock"
)

// advices maps the code of a service's error to what the operator has to do.
var advices = map[string]string{
	// S3: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
	"NoSuchBucket":                adviceBucket,
	"AccessDenied":                adviceRights,
	"Forbidden":                   adviceRights,
	"AllAccessDisabled":           "the provider has to unblock the bucket's account",
	"AccountProblem":              "the provider has to unblock the bucket's account",
	"InvalidAccessKeyId":          adviceKey,
	"SignatureDoesNotMatch":       adviceKey + "; a proxy that changes requests breaks signatures too",
	"RequestTimeTooSkewed":        adviceClock,
	"RequestExpired":              adviceClock,
	"ExpiredToken":                adviceOver,
	"TokenRefreshRequired":        adviceOver,
	"InvalidToken":                "AWS_SESSION_TOKEN is not that of the key: get new credentials",
	"InvalidClientTokenId":        adviceKey,
	"UnrecognizedClientException": adviceKey,
	// Azure: https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
	"ContainerNotFound":               adviceBucket,
	"ContainerBeingDeleted":           "wait until the old container of this name is gone, then create it again",
	"ContainerDisabled":               "fix the account in Azure",
	"AccountIsDisabled":               "fix the account in Azure",
	"AuthenticationFailed":            adviceAzure,
	"InvalidAuthenticationInfo":       adviceAzure,
	"NoAuthenticationInformation":     adviceAzure,
	"AuthorizationFailure":            adviceRights + "; the account's firewall must let this machine in",
	"AuthorizationPermissionMismatch": adviceRights,
	"InsufficientAccountPermissions":  adviceRights,
	// Google: https://docs.cloud.google.com/storage/docs/json_api/v1/status-codes
	"authError":               adviceGoogle,
	"AuthenticationRequired":  adviceGoogle,
	"required":                adviceGoogle,
	"forbidden":               adviceRights,
	"insufficientPermissions": adviceRights,
	"accountDisabled":         "fix the billing of the project",
	"UserProjectMissing":      "the bucket is one whose readers pay: it cannot be a store",
	"userProjectMissing":      "the bucket is one whose readers pay: it cannot be a store",
}

// withAdvice adds to a text what the operator has to do about a code, if that is known.
func withAdvice(text, code string) string {
	if advice := advices[code]; advice != "" {
		return text + " (" + advice + ")"
	}
	return text
}

// googleToken says in one line why Google gave no token, or returns nil if err is about something else. The library's
// text has the complete body.
func googleToken(err error) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok || refused.ErrorCode == "" {
		return nil
	}
	text := refused.ErrorCode
	if refused.ErrorDescription != "" {
		text += ": " + outbound.Redact(strings.Join(strings.Fields(refused.ErrorDescription), " "))
	}
	return errors.New("Google gives no token: " + text + " (" + adviceGoogle + ")")
}

const (
	regionHeader = "X-Amz-Bucket-Region"
	maxRedirect  = 16 << 10 // of the body of an answer that may name a region
)

var (
	saysRegion = regexp.MustCompile(`<Region>([a-z0-9-]{1,60})</Region>`)
	// signedFor finds the region that a request was signed for.
	signedFor = regexp.MustCompile(`Credential=[^/]+/[0-9]{8}/([^/]+)/`)
)

// regions copies the region that the body of an answer names into its header. S3 mostly sends it in the header too, but
// not always, and the SDK reads only code and message from the body.
type regions struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (r *regions) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err != nil || !elsewhere(resp.StatusCode) || resp.Header.Get(regionHeader) != "" {
		return resp, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRedirect))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), &broken{resp.Body, err}), resp.Body}
	if found := saysRegion.FindSubmatch(text); found != nil {
		resp.Header.Set(regionHeader, string(found[1]))
	}
	return resp, nil
}

// broken is the rest of a body. If err is not nil, the rest cannot be read.
type broken struct {
	io.Reader
	err error
}

func (b *broken) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	return b.Reader.Read(p)
}

// elsewhere reports whether S3 uses this status to say that the bucket is in another region.
func elsewhere(status int) bool {
	return status == http.StatusMovedPermanently || status == http.StatusTemporaryRedirect || status == http.StatusBadRequest
}

// otherRegion returns the region in which the bucket lies according to an answer, and the region that the request was
// signed for. Both are "" if they are the same.
func otherRegion(resp *http.Response) (lies, signed string) {
	if resp == nil || !elsewhere(resp.StatusCode) {
		return "", ""
	}
	if resp.Request != nil {
		if found := signedFor.FindStringSubmatch(resp.Request.Header.Get("Authorization")); found != nil {
			signed = found[1]
		}
	}
	if lies = resp.Header.Get(regionHeader); lies == signed {
		return "", ""
	}
	return lies, signed
}
