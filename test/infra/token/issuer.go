package token

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// issuer signs tokens, as the API server of a cluster does for its service accounts.
type issuer struct {
	url string
	key *rsa.PrivateKey
}

func newIssuer(t testing.TB, url string) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{url, key}
}

// sign returns a token with the claims.
func (i *issuer) sign(t testing.TB, claims jwt.Claims) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: i.key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// write puts a token into a file, as a projected volume does.
func write(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What a token service finds wrong before it asks who the token is for.
var (
	errIssuer    = errors.New("issuer")
	errSignature = errors.New("signature")
	errTime      = errors.New("time")
)

// read verifies a token of one of the issuers and returns its claims. Clouds allow a minute between clocks.
func read(text string, issuers ...*issuer) (jwt.Claims, error) {
	var unsafe, claims jwt.Claims
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return claims, fmt.Errorf("%w: %w", errSignature, err)
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&unsafe); err != nil {
		return claims, err
	}
	for _, i := range issuers {
		if i.url != unsafe.Issuer {
			continue
		}
		if err := parsed.Claims(&i.key.PublicKey, &claims); err != nil {
			return claims, fmt.Errorf("%w: %w", errSignature, err)
		}
		if err := claims.Validate(jwt.Expected{Time: time.Now()}); err != nil || claims.Expiry == nil {
			return claims, fmt.Errorf("%w: %w", errTime, err)
		}
		return claims, nil
	}
	return unsafe, fmt.Errorf("%w: %s", errIssuer, unsafe.Issuer)
}
