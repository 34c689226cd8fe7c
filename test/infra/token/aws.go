package token

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"ociproxy/test/infra/iam"
)

const (
	awsAccount = "123456789012" // of the stub
	awsRole    = "arn:aws:iam::" + awsAccount + ":role/oci-proxy-writer"
)

// sts is AWS's token service for one account.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
type sts struct {
	trust     *iam.Policy // of the role
	providers map[string][]string
	issuers   []*issuer

	key, secret string // of the sessions
}

// newSTS makes the service with the issuers that the account knows and the role's trust, both as the module aws-stores makes
// them.
func newSTS(t testing.TB, v values, issuers ...*issuer) *sts {
	t.Helper()
	s := &sts{providers: map[string][]string{}, issuers: issuers, key: "test", secret: "test-secret"}
	for _, p := range v.of("aws_iam_openid_connect_provider.this") {
		s.providers[text(p["url"])] = texts(p["client_id_list"])
	}
	var err error
	if s.trust, err = iam.Parse(text(v[`aws_iam_role.this["writer"]`]["assume_role_policy"])); err != nil {
		t.Fatal(err)
	}
	return s
}

// ServeHTTP implements [http.Handler].
func (s *sts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	code, message := s.refusal(r)
	w.Header().Set("Content-Type", "text/xml")
	if code != "" {
		status := http.StatusBadRequest
		if code == "AccessDenied" {
			status = http.StatusForbidden
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code>`+
			`<Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, code, message)
		return
	}
	// The store knows no sessions, so there is no session token.
	fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>`+
		`<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken></SessionToken><Expiration>%s</Expiration>`+
		`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
		s.key, s.secret, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}

// refusal returns the code and the message by which the service refuses a request; "" if it does not.
func (s *sts) refusal(r *http.Request) (code, message string) {
	if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("RoleArn") != awsRole || r.FormValue("RoleSessionName") == "" {
		return "ValidationError", "not a request for the role"
	}
	claims, err := read(r.FormValue("WebIdentityToken"), s.issuers...)
	known, found := s.providers[claims.Issuer]
	switch {
	case errors.Is(err, errTime):
		return "ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time"
	case errors.Is(err, errSignature):
		return "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider"
	case err != nil || !found:
		return "InvalidIdentityToken", "No OpenIDConnect provider found in your account for " + claims.Issuer
	case !slices.ContainsFunc(known, claims.Audience.Contains):
		return "InvalidIdentityToken", "Incorrect token audience"
	}
	if ok, err := s.allowed(claims); err != nil || !ok {
		return "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"
	}
	return "", ""
}

// allowed reports whether the role trusts the token.
func (s *sts) allowed(claims jwt.Claims) (bool, error) {
	token := iam.Token{Issuer: claims.Issuer, Subject: claims.Subject, Audience: strings.Join(claims.Audience, ",")}
	ok, _, err := iam.Rights{Resource: s.trust}.Decide(token.Assume("aws", awsAccount))
	return ok, err
}
