package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	registries "github.com/google/go-containerregistry/pkg/v1/google"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"ociproxy/internal/command"
)

// Google finds Google's application default credentials: a file that the environment names, or the machine's identity.
// No step takes longer than within, and neither does getting a token later.
func Google(ctx context.Context, within time.Duration, scope string) (*google.Credentials, error) {
	// The tokens are refreshed for as long as the process runs. A request that is given up here ends itself soon after.
	lasting := context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, Client(within+within/4))
	found, err := Within(ctx, within, "Google's credentials", func() (*google.Credentials, error) {
		return google.FindDefaultCredentials(lasting, scope)
	})
	if err != nil {
		return nil, err
	}
	found.TokenSource = Tokens(found.TokenSource, within, "Google's token")
	return found, nil
}

const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

// GoogleKeychain is the keychain of go-containerregistry for the hosts of Google's registries: application default
// credentials, else those of gcloud, else none. It waits for no source longer than within. It keeps credentials that it
// found. It does not keep the result that there are none, because a metadata server may be late. It logs once that a
// source which should have credentials gave none, so that the registry is asked anonymously. A nil log discards that.
func GoogleKeychain(within time.Duration, log *slog.Logger) authn.Keychain {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &googleKeychain{within: within, turn: make(chan struct{}, 1), log: log}
}

type googleKeychain struct {
	within time.Duration
	turn   chan struct{} // the holder may look for credentials
	found  authn.Authenticator
	log    *slog.Logger
	told   bool // the missing credentials were logged
}

// Resolve implements [authn.Keychain].
func (k *googleKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements [authn.ContextKeychain]. A source that does not answer in time is an error: a client that
// has credentials must not be treated as an anonymous one.
func (k *googleKeychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	if !isGoogle(target.RegistryStr()) {
		return authn.Anonymous, nil
	}
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-k.turn }()
	if k.found != nil {
		return k.found, nil
	}
	source, err := k.source(ctx)
	switch {
	case errors.Is(err, ErrLate), errors.Is(err, command.ErrLate), ctx.Err() != nil:
		return nil, err
	case err != nil: // as the library does: without credentials, public images can be read
		if !k.told && !errors.Is(err, errNoGoogle) {
			k.told = true
			k.log.Warn("no credentials of Google: the registry is asked without", "registry", target.RegistryStr(), "error", err)
		}
		return authn.Anonymous, nil
	}
	k.found = registries.NewTokenSourceAuthenticator(source)
	return k.found, nil
}

// errNoGoogle means that this machine has no source of Google's credentials, which is not a failure.
var errNoGoogle = errors.New("there are no credentials of Google")

// source finds a source of tokens that has given a token.
func (k *googleKeychain) source(ctx context.Context) (oauth2.TokenSource, error) {
	found, err := Google(ctx, k.within, cloudPlatform)
	if err == nil {
		if _, err = found.TokenSource.Token(); err == nil {
			return found.TokenSource, nil
		}
	}
	none := strings.Contains(err.Error(), "could not find default credentials") // the library has no type for it
	tool := &gcloud{within: k.within}
	token, toolErr := tool.Token()
	switch {
	case errors.Is(toolErr, exec.ErrNotFound) && none:
		return nil, fmt.Errorf("%w: %w", errNoGoogle, err)
	case errors.Is(toolErr, exec.ErrNotFound):
		return nil, err
	}
	if toolErr != nil {
		return nil, fmt.Errorf("%w; %w", err, toolErr)
	}
	return oauth2.ReuseTokenSource(token, tool), nil
}

// gcloud gets tokens from Google's command-line tool, as docker-credential-gcr does.
type gcloud struct{ within time.Duration }

// Token implements [oauth2.TokenSource].
func (g *gcloud) Token() (*oauth2.Token, error) {
	out, err := command.Run(context.Background(), command.Command{Name: "gcloud", Within: g.within,
		Args: []string{"config", "config-helper", "--force-auth-refresh", "--format=json(credential)"}})
	if err != nil {
		return nil, err
	}
	var said struct {
		Credential struct {
			Token  string    `json:"access_token"`
			Expiry time.Time `json:"token_expiry"`
		} `json:"credential"`
	}
	// The error does not contain the output, which has the token.
	if json.NewDecoder(bytes.NewReader(out)).Decode(&said) != nil || said.Credential.Token == "" {
		return nil, errors.New("gcloud: it gave no token")
	}
	return &oauth2.Token{AccessToken: said.Credential.Token, Expiry: said.Credential.Expiry}, nil
}

// isGoogle reports whether a registry is one of Google's.
func isGoogle(host string) bool {
	return host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev") || strings.HasSuffix(host, ".google.com")
}
