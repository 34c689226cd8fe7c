package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// maxAccesses bounds the number of tokens that a Registry keeps. It needs one for each repository that is being walked.
const maxAccesses = 512

// renewAfter is how long the registry uses credentials before it asks the keychain again. Cloud credentials expire
// after hours, and a pass may take days. A token that reports its expiry is renewed before that time.
const renewAfter = 20 * time.Minute

// challenge is how the registry wants clients to authenticate. It is learned once.
type challenge struct {
	turn   chan struct{} // the holder may learn
	known  *transport.Challenge
	failed error     // why the last attempt to learn it failed
	again  time.Time // when the next attempt may be made
}

// askAgain is how long the client waits before it asks a registry again, after it could not learn how to authenticate.
// When a registry is down, requests for a hundred repositories learn that once, not a hundred times.
const askAgain = 5 * time.Second

// access is the permission to use one repository in one way.
type access struct {
	turn chan struct{} // the holder may renew
	rt   http.RoundTripper
	ends time.Time
}

// pull, push and catalog return scopes in the spelling of Docker's token specification.
func (r *Registry) pull(repo string) []string {
	return []string{"repository:" + r.Path(repo) + ":pull"}
}
func (r *Registry) push(repo string) []string {
	return []string{"repository:" + r.Path(repo) + ":push,pull"}
}

func catalog() []string { return []string{"registry:catalog:*"} }

// access returns a transport that authenticates for scopes. While one caller obtains it, the others wait.
func (r *Registry) access(ctx context.Context, scopes []string) (http.RoundTripper, error) {
	key := strings.Join(scopes, " ")
	a, ok := r.accesses.GetIfPresent(key)
	if !ok {
		// When two callers create one at the same time, the later one wins, and the other costs a request.
		a = &access{turn: make(chan struct{}, 1)}
		a, _ = r.accesses.SetIfAbsent(key, a)
	}
	if err := acquire(ctx, a.turn); err != nil {
		return nil, err
	}
	defer release(a.turn)
	if a.rt != nil && time.Now().Before(a.ends) {
		return a.rt, nil
	}
	c, err := r.ask(ctx)
	if err != nil {
		return nil, err
	}
	rt, lifetime, err := r.authenticate(ctx, c, scopes)
	if err != nil {
		return nil, err
	}
	a.rt, a.ends = rt, time.Now().Add(lifetime)
	return rt, nil
}

// forget drops a permission that the registry rejected.
func (r *Registry) forget(scopes []string) { r.accesses.Invalidate(strings.Join(scopes, " ")) }

// ask asks the registry, once, which authentication it wants.
func (r *Registry) ask(ctx context.Context) (*transport.Challenge, error) {
	if err := acquire(ctx, r.challenge.turn); err != nil {
		return nil, err
	}
	defer release(r.challenge.turn)
	if r.challenge.known != nil {
		return r.challenge.known, nil
	}
	if time.Now().Before(r.challenge.again) {
		return nil, r.challenge.failed
	}
	c, err := transport.Ping(ctx, r.name, r.own)
	if err != nil {
		err = fmt.Errorf("ask %s for /v2/: %w", r.host, fromTransport(err))
		if ctx.Err() == nil { // the end of this caller's context is not a failure for other callers
			r.challenge.failed, r.challenge.again = err, time.Now().Add(askAgain)
		}
		return nil, err
	}
	c.Insecure = r.scheme == "http"
	r.challenge.known = c
	return c, nil
}

// learn takes the challenge from a refusal when none is known yet. Some registries admit all clients at /v2/ and ask
// for authentication later.
func (r *Registry) learn(ctx context.Context, refusal *http.Response) bool {
	if acquire(ctx, r.challenge.turn) != nil {
		return false
	}
	defer release(r.challenge.turn)
	if r.challenge.known == nil || r.challenge.known.Scheme != "" {
		return false
	}
	c, err := transport.Ping(ctx, r.name, canned{refusal})
	if err != nil || c.Scheme == "" {
		return false
	}
	c.Insecure = r.scheme == "http"
	r.challenge.known = c
	return true
}

// canned answers each request with the status and headers of another answer.
type canned struct{ resp *http.Response }

// RoundTrip implements [http.RoundTripper].
func (c canned) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{Status: c.resp.Status, StatusCode: c.resp.StatusCode, Header: c.resp.Header, Body: http.NoBody, Request: req}, nil
}

// authenticate gets a token for scopes, or the credentials for basic authentication.
func (r *Registry) authenticate(ctx context.Context, c *transport.Challenge, scopes []string) (http.RoundTripper, time.Duration, error) {
	auth, err := authn.Resolve(ctx, r.keychain, r.resource(scopes))
	if err != nil {
		return nil, 0, fmt.Errorf("credentials for %s: %w", r.host, err)
	}
	lifetime, token := renewAfter, &transport.Token{}
	if strings.EqualFold(c.Scheme, "bearer") {
		given, err := authn.Authorization(ctx, auth)
		if err != nil {
			return nil, 0, fmt.Errorf("credentials for %s: %w", r.host, err)
		}
		if token.Token = given.RegistryToken; token.Token == "" {
			if token, err = transport.Exchange(ctx, r.name, auth, r.own, scopes, c); err != nil {
				return nil, 0, fmt.Errorf("token of %s: %w", r.host, fromTransport(err))
			}
			if token.Token == "" {
				token.Token = token.AccessToken
			}
			if d := time.Duration(token.ExpiresIn) * time.Second * 9 / 10; d > 0 {
				lifetime = min(lifetime, d)
			}
		}
	}
	rt, err := transport.FromToken(r.name, auth, r.own, c, token)
	if err != nil {
		return nil, 0, fmt.Errorf("authenticate to %s: %w", r.host, err)
	}
	return rt, lifetime, nil
}

// resource returns what to ask the keychain for: the first repository of the scopes, or the registry.
func (r *Registry) resource(scopes []string) authn.Resource {
	reg := r.name
	if r.host == "registry-1.docker.io" {
		reg, _ = name.NewRegistry(name.DefaultRegistry) // Docker keeps its credentials under this name
	}
	if part := strings.Split(scopes[0], ":"); part[0] == "repository" && len(part) == 3 {
		return reg.Repo(part[1])
	}
	return reg
}
