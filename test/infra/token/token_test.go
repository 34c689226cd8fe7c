package token

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"ociproxy/test/authority"
	"ociproxy/test/azure"
	"ociproxy/test/ctl"
	"ociproxy/test/gcs"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/s3"
	"ociproxy/test/source"
)

const (
	issuerURL = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"
	subject   = "system:serviceaccount:registry:mirror"
	bucket    = "blobs" // of all stores, and the container
)

// TestInfraExchange: the mirror writes with a token that the modules trust, to real stores. With every other token the clouds
// refuse it, and the error says which store, and what the cloud says is wrong.
func TestInfraExchange(t *testing.T) {
	parts.Slow(t)
	good, other := newIssuer(t, issuerURL), newIssuer(t, "https://oidc.eks.us-east-1.amazonaws.com/id/OTHER")
	writer := func(audiences ...string) map[string]any {
		return map[string]any{"issuer": issuerURL, "subjects": []string{subject}, "audiences": audiences}
	}
	ca := authority.New(t)
	r := registry.Start(t)
	src := source.New(r.Addr, "prod/")
	src.Fill(t, source.Shape{Images: 1, Repos: 1, Seed: 1, Smallest: 1 << 10, Largest: 4 << 10})

	const googleAudience, azureAudience, awsAudience = "https://gcs.example.org/writer", "api://AzureADTokenExchange", "sts.amazonaws.com"
	aws := newSTS(t, apply(t, "aws-stores", map[string]any{"writer": writer(awsAudience),
		"stores": map[string]any{"s3": map[string]any{"bucket": bucket, "region": "us-east-1"}}}), good, other)
	gcp := newGoogle(t, apply(t, "gcp-stores", map[string]any{"writer": writer(googleAudience), "project": "layers-prod",
		"stores": map[string]any{"gcs": map[string]any{"bucket": bucket, "region": "us-east1"}}}), good, other)
	ad := newEntra(t, apply(t, "azure-stores", map[string]any{"writer": writer(azureAudience),
		"resource_group": map[string]any{"name": "layers", "id": "/subscriptions/1/resourceGroups/layers"},
		"stores":         map[string]any{"az": map[string]any{"bucket": "devstoreaccount1", "container": bucket, "region": "eastus"}}}), good, other)

	blobHost := azure.Account + ".blob.core.windows.net"
	cert := ca.Issue(t, time.Hour, blobHost, "127.0.0.1")
	account := azure.StartOAuth(t, cert.Cert, cert.Key, ca.Pool())
	objects, amazon := gcs.Start(t, "us-east1"), s3.Start(t, "us-east-1")
	n := newNetwork(t, ca, map[string]http.Handler{
		"registry.test":                        to(r.Addr),
		"sts.us-east-1.amazonaws.com":          aws,
		"s3.us-east-1.amazonaws.com":           to(amazon.Backend()),
		"s3.dualstack.us-east-1.amazonaws.com": to(amazon.Backend()),
		"sts.googleapis.com":                   http.HandlerFunc(gcp.exchange),
		"storage.googleapis.com":               gcp.storage(objects.Addr),
		"login.microsoftonline.com":            ad,
	}, map[string]string{blobHost: account.Addr})

	for name, c := range map[string]cloud{
		"aws": {"aws/us-east-1", "s3://" + bucket + "?region=us-east-1&pathStyle=true", "https://s3.dualstack.us-east-1.amazonaws.com/" + bucket, awsAudience,
			func(_ testing.TB, file string) []string {
				return []string{"AWS_WEB_IDENTITY_TOKEN_FILE=" + file, "AWS_ROLE_ARN=" + awsRole, "AWS_EC2_METADATA_DISABLED=true"}
			}, map[string]string{
				"signature": "InvalidIdentityToken: Couldn't retrieve verification key",
				"issuer":    "No OpenIDConnect provider found in your account for " + other.url,
				"subject":   "Not authorized to perform sts:AssumeRoleWithWebIdentity",
				"audience":  "Incorrect token audience",
				"no aud":    "Incorrect token audience",
				"expired":   "Token expired",
				"early":     "Token expired",
			}},
		"google": {"gcp/us-east1", "gs://" + bucket, "https://storage.googleapis.com/" + bucket, googleAudience,
			func(t testing.TB, file string) []string {
				config := write(t, fmt.Sprintf(`{"type":"external_account","audience":"//iam.googleapis.com/%s","token_url":"https://sts.googleapis.com/v1/token",`+
					`"subject_token_type":"urn:ietf:params:oauth:token-type:jwt","credential_source":{"file":%q}}`, gcp.provider, file))
				return []string{"GOOGLE_APPLICATION_CREDENTIALS=" + config}
			}, map[string]string{
				"signature": "Unable to verify the ID Token signature",
				"issuer":    "The issuer in ID Token " + other.url,
				"subject":   "rejected by the attribute condition",
				"audience":  "The audience in ID Token",
				"no aud":    "The audience in ID Token",
				"expired":   "stale to sign-in",
				"early":     "stale to sign-in",
			}},
		"azure": {"azure/eastus", "azblob://" + azure.Account + "/" + bucket, "https://" + blobHost + "/" + bucket, azureAudience,
			func(_ testing.TB, file string) []string {
				return []string{"AZURE_FEDERATED_TOKEN_FILE=" + file, "AZURE_CLIENT_ID=" + clientID, "AZURE_TENANT_ID=" + tenant}
			}, map[string]string{
				"signature": "AADSTS700027",
				"issuer":    "AADSTS700211",
				"subject":   "AADSTS700213",
				"audience":  "AADSTS700212",
				"no aud":    "AADSTS700212",
				"expired":   "AADSTS700024",
				"early":     "AADSTS700024",
			}},
	} {
		config := c.config(t)
		for fault, want := range c.refuses {
			t.Run(name+"/"+fault, func(t *testing.T) {
				t.Parallel()
				claims, signer := c.claims(), good
				switch fault {
				case "signature":
					signer = &issuer{good.url, other.key}
				case "issuer":
					signer, claims.Issuer = other, other.url
				case "subject":
					claims.Subject = "system:serviceaccount:registry:other"
				case "audience":
					claims.Audience = jwt.Audience{"https://kubernetes.default.svc"}
				case "no aud":
					claims.Audience = nil
				case "expired":
					claims.Expiry = jwt.NewNumericDate(time.Now().Add(-2 * time.Minute))
				case "early":
					claims.NotBefore = jwt.NewNumericDate(time.Now().Add(10 * time.Minute))
				default:
					t.Fatal("no such fault")
				}
				ran := mirror(t, n, config, c.env(t, write(t, signer.sign(t, claims))))
				text := ran.Stdout + ran.Stderr
				shown, _, _ := strings.Cut(c.bucket, "?")
				if ran.Code == 0 || !strings.Contains(text, want) || !strings.Contains(text, shown) {
					t.Errorf("want %q about %s in %v", want, shown, ran)
				}
			})
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ran := mirror(t, n, config, c.env(t, write(t, good.sign(t, c.claims()))))
			if ran.Code != 0 {
				t.Fatalf("mirror: %v", ran)
			}
			checked := ctl.Run(t, ctl.Limit, n.env(), "inventory", "verify", "--config", config, "--store", "store")
			if checked.Code != 0 {
				t.Errorf("inventory verify: %v", checked)
			}
		})
	}
}

// cloud is a store, and how its cloud gets and refuses tokens.
type cloud struct {
	place, bucket, url, audience string

	env     func(t testing.TB, file string) []string
	refuses map[string]string // fault of the token => part of the error
}

// claims are those of a token that the cloud accepts.
func (c cloud) claims() jwt.Claims {
	now := time.Now()
	return jwt.Claims{Issuer: issuerURL, Subject: subject, Audience: jwt.Audience{c.audience}, IssuedAt: jwt.NewNumericDate(now),
		NotBefore: jwt.NewNumericDate(now.Add(-time.Minute)), Expiry: jwt.NewNumericDate(now.Add(time.Hour))}
}

// config writes a config with the one store.
func (c cloud) config(t testing.TB) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "config.yaml")
	proxy.Config{
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": "https://registry.test", "prefix": "prod", "place": c.place, "canonical": true}},
		"stores": proxy.List{proxy.Map{"name": "store", "place": c.place, "url": c.url + "/containers/images/{digest}", "serves": proxy.List{"all"},
			"inventory": proxy.Map{"url": c.url + "/inventory/"}, "bucket": c.bucket}},
		"mirror": proxy.Map{"source": "us", "repositories": proxy.Map{"include": proxy.List{"/.*/"}}, "spool": proxy.Map{"dir": t.TempDir()}},
	}.Defaults(t).Write(t, file)
	return file
}

// mirror runs one pass.
func mirror(t testing.TB, n *network, config string, env []string) ctl.Ran {
	t.Helper()
	return ctl.Run(t, ctl.Limit, n.env(env...), "mirror", "--config", config, "--once", "--output", "json")
}

// to returns a reverse proxy to a server.
func to(addr string) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: addr})
		r.Out.Host = r.In.Host // the host is signed
		r.SetXForwarded()
	}}
}
