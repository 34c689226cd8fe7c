package token

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/cel-go/cel"
)

// google is Google's token service, and the gate before its storage that knows who a token stands for.
// https://docs.cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
type google struct {
	provider  string // its name, in which tokens are exchanged
	issuer    string
	audiences []string
	condition cel.Program
	members   []string // who may write
	issuers   []*issuer

	mu     sync.Mutex
	tokens map[string]string // token => principal
}

// newGoogle makes the service with the provider and the members that the module gcp-stores makes.
func newGoogle(t testing.TB, v values, issuers ...*issuer) *google {
	t.Helper()
	pool := v["google_iam_workload_identity_pool.writer[0]"]
	provider := v["google_iam_workload_identity_pool_provider.writer[0]"]
	oidc, _ := provider["oidc"].([]any)[0].(map[string]any)
	g := &google{provider: text(pool["name"]) + "/providers/" + text(provider["workload_identity_pool_provider_id"]), issuer: text(oidc["issuer_uri"]),
		audiences: texts(oidc["allowed_audiences"]), issuers: issuers, tokens: map[string]string{}}
	for _, m := range v.of("google_storage_bucket_iam_member.writer") {
		g.members = append(g.members, text(m["member"]))
	}
	env, err := cel.NewEnv(cel.Variable("assertion", cel.MapType(cel.StringType, cel.DynType)))
	if err != nil {
		t.Fatal(err)
	}
	ast, issues := env.Compile(text(provider["attribute_condition"]))
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	if g.condition, err = env.Program(ast); err != nil {
		t.Fatal(err)
	}
	return g
}

// exchange answers sts.googleapis.com.
func (g *google) exchange(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	claims, code, message := g.check(r)
	if code != "" {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": message})
		return
	}
	pool, _, _ := strings.Cut(g.provider, "/providers/")
	token := "ya29." + claims.Subject
	g.mu.Lock()
	g.tokens[token] = "principal://iam.googleapis.com/" + pool + "/subject/" + claims.Subject
	g.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600,
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})
}

// check returns the claims of a token, or the error by which the service refuses it.
func (g *google) check(r *http.Request) (claims jwt.Claims, code, message string) {
	if r.FormValue("audience") != "//iam.googleapis.com/"+g.provider {
		return claims, "invalid_target", "The target service indicated by the \"audience\" parameters is invalid."
	}
	claims, err := read(r.FormValue("subject_token"), g.issuers...)
	switch {
	case errors.Is(err, errTime):
		return claims, "invalid_grant", "ID Token is stale to sign-in."
	case errors.Is(err, errSignature):
		return claims, "invalid_grant", "Unable to verify the ID Token signature."
	case err != nil || claims.Issuer != g.issuer:
		return claims, "invalid_grant", "The issuer in ID Token " + claims.Issuer + " does not match the expected ones."
	case !slices.ContainsFunc(g.audiences, claims.Audience.Contains):
		return claims, "invalid_grant", "The audience in ID Token " + strings.Join(claims.Audience, " ") + " does not match the expected audience."
	}
	out, _, err := g.condition.Eval(map[string]any{"assertion": map[string]any{"sub": claims.Subject, "iss": claims.Issuer, "aud": []string(claims.Audience)}})
	if err != nil || out.Value() != true {
		return claims, "unauthorized_client", "The given credential is rejected by the attribute condition."
	}
	return claims, "", ""
}

// storage answers storage.googleapis.com: anonymous clients read objects, and whoever has a token and is a member does
// everything.
func (g *google) storage(addr string) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: addr})
			r.Out.Header.Del("Authorization")
		},
		ModifyResponse: func(r *http.Response) error { // the rest of an upload comes here too
			r.Header.Set("Location", strings.Replace(r.Header.Get("Location"), "http://"+addr, "https://storage.googleapis.com", 1))
			return nil
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, named := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		g.mu.Lock()
		who := g.tokens[token]
		g.mu.Unlock()
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		anonymous := !named && reads && !strings.HasPrefix(r.URL.Path, "/storage/")
		switch {
		case anonymous, slices.Contains(g.members, who):
			proxy.ServeHTTP(w, r)
		case who == "":
			http.Error(w, `{"error": {"code": 401, "message": "Invalid Credentials"}}`, http.StatusUnauthorized)
		default:
			http.Error(w, `{"error": {"code": 403, "message": "does not have storage.objects.create access"}}`, http.StatusForbidden)
		}
	})
}
