package token

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	tenant   = "11111111-2222-3333-4444-555555555555"
	clientID = "66666666-7777-8888-9999-000000000000"
	entraURL = "https://login.microsoftonline.com/" + tenant
)

// entra is Azure's token service.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
type entra struct {
	credentials []map[string]any // federated
	issuers     []*issuer
	own         *issuer // of its tokens
	t           testing.TB
}

// newEntra makes the service with the federated credentials that the module azure-stores makes.
func newEntra(t testing.TB, v values, issuers ...*issuer) *entra {
	t.Helper()
	return &entra{v.of("azurerm_federated_identity_credential.writer"), issuers, newIssuer(t, "https://sts.windows.net/"+tenant+"/"), t}
}

// ServeHTTP implements [http.Handler].
func (e *entra) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	answer := map[string]any{}
	switch r.URL.Path {
	case "/common/discovery/instance":
		answer["tenant_discovery_endpoint"] = entraURL + "/v2.0/.well-known/openid-configuration"
		answer["metadata"] = []any{map[string]any{"preferred_network": "login.microsoftonline.com", "preferred_cache": "login.windows.net",
			"aliases": []string{"login.microsoftonline.com"}}}
	case "/" + tenant + "/v2.0/.well-known/openid-configuration":
		answer["issuer"], answer["authorization_endpoint"], answer["token_endpoint"] = entraURL+"/v2.0", entraURL+"/oauth2/v2.0/authorize", entraURL+"/oauth2/v2.0/token"
	case "/" + tenant + "/oauth2/v2.0/token":
		if code, number, message := e.refusal(r); code != "" {
			w.WriteHeader(http.StatusUnauthorized)
			answer["error"], answer["error_description"], answer["error_codes"] = code, message, []int{number}
			break
		}
		now := time.Now()
		answer["token_type"], answer["expires_in"], answer["ext_expires_in"] = "Bearer", 3599, 3599
		answer["access_token"] = e.own.sign(e.t, jwt.Claims{Issuer: e.own.url, Subject: clientID, Audience: jwt.Audience{"https://storage.azure.com"},
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-time.Minute)), Expiry: jwt.NewNumericDate(now.Add(time.Hour))})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// refusal returns the error by which the service refuses a request; "" if it does not.
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
func (e *entra) refusal(r *http.Request) (code string, number int, message string) {
	if r.FormValue("client_id") != clientID || r.FormValue("grant_type") != "client_credentials" ||
		r.FormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return "unauthorized_client", 700016, "AADSTS700016: Application was not found in the directory."
	}
	claims, err := read(r.FormValue("client_assertion"), e.issuers...)
	switch {
	case errors.Is(err, errTime):
		return "invalid_client", 700024, "AADSTS700024: Client assertion is not within its valid time range."
	case errors.Is(err, errSignature):
		return "invalid_client", 700027, "AADSTS700027: Client assertion failed signature validation."
	}
	matches := func(same func(c map[string]any) bool) bool { return slices.ContainsFunc(e.credentials, same) }
	if err != nil || !matches(func(c map[string]any) bool { return c["issuer"] == claims.Issuer }) {
		return "invalid_client", 700211, "AADSTS700211: No matching federated identity record found for presented assertion issuer '" + claims.Issuer + "'."
	}
	if !matches(func(c map[string]any) bool { return c["issuer"] == claims.Issuer && c["subject"] == claims.Subject }) {
		return "invalid_client", 700213, "AADSTS700213: No matching federated identity record found for presented assertion subject '" + claims.Subject + "'."
	}
	if !matches(func(c map[string]any) bool {
		return c["issuer"] == claims.Issuer && c["subject"] == claims.Subject && slices.Equal(texts(c["audience"]), claims.Audience)
	}) {
		return "invalid_client", 700212, "AADSTS700212: No matching federated identity record found for presented assertion audience."
	}
	return "", 0, ""
}
