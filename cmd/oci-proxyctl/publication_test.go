package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ociproxy/internal/key"
	"ociproxy/internal/publication"
)

// signingKey FILE NAME makes a private key, and puts its public key into NAME.
func signingKey(ts *testscript.TestScript, _ bool, args []string) {
	private, err := key.New(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Setenv(args[1], key.Format(key.Public(private)))
}

func TestSignatureOf(t *testing.T) {
	raw := bytes.Repeat([]byte{7}, ed25519.SignatureSize)
	text := base64.StdEncoding.EncodeToString(raw)
	for name, out := range map[string]string{
		"raw": string(raw), "base64": text, "with a line end": text + "\n", "in lines": text[:40] + "\n" + text[40:] + "\r\n",
	} {
		if got, err := signatureOf([]byte(out)); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	for name, out := range map[string]string{"empty": "", "short": text[:20], "long": text + text, "raw with a line end": string(raw) + "\n"} {
		if got, err := signatureOf([]byte(out)); err == nil {
			t.Errorf("%s: %x", name, got)
		}
	}
}

// TestIDs: an id is a valid name, says what the override does, and differs for what differs.
func TestIDs(t *testing.T) {
	long := "a123456789-123456789-123456789-123456789-123456789-123456789-12"
	seen := map[string]string{}
	for _, tt := range []struct {
		o    publication.Override
		want string // "" when it ends in a hash
	}{
		{publication.Override{Action: publication.Off, Candidate: "s3-use1"}, "off-s3-use1"},
		{publication.Override{Action: publication.Drain, Candidate: "s3-use1"}, "drain-s3-use1"},
		{publication.Override{Action: publication.Off, Candidate: "s3.use1"}, ""},
		{publication.Override{Action: publication.Off, Candidate: "s3_use1"}, ""},
		{publication.Override{Action: publication.Off, Candidate: long + "a"}, ""},
		{publication.Override{Action: publication.Off, Candidate: long + "b"}, ""},
		{publication.Override{Action: publication.Pin, Cloud: "aws"}, "pin-aws"},
		{publication.Override{Action: publication.Pin, CIDR: "10.0.0.0/8"}, ""},
		{publication.Override{Action: publication.Pin, CIDR: "2001:db8::/32"}, ""},
		{publication.Override{Action: publication.Deny, Repository: "team/app"}, ""},
		{publication.Override{Action: publication.Deny, Repository: "team-app"}, "deny-team-app"},
		{publication.Override{Action: publication.Deny, Digest: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, "deny-e3b0c44298fc"},
	} {
		id, what := idOf(&tt.o), aboutOverride(&tt.o)
		if err := publication.CheckName(id); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if tt.want != "" && id != tt.want {
			t.Errorf("%s: %s, want %s", what, id, tt.want)
		}
		if was, ok := seen[id]; ok {
			t.Errorf("%s and %s: both are %s", what, was, id)
		}
		seen[id] = what
	}
}

func TestHeldOverrides(t *testing.T) {
	now := time.Now()
	list := heldOverrides(&publication.Overrides{Overrides: []publication.Override{
		{ID: "over", Until: now.Add(-time.Second)}, {ID: "soon", Until: now.Add(30 * time.Minute)},
		{ID: "later", Until: now.Add(31 * time.Minute)}, {ID: "deny"},
		{ID: "long over", Until: now.Add(-61 * time.Minute)},
	}}, now)
	if len(list) != 4 {
		t.Fatalf("%d overrides, want 4: one has ended long ago", len(list))
	}
	for i, want := range []heldOverride{{Ended: true}, {Soon: true}, {}, {}} {
		if list[i].Ended != want.Ended || list[i].Soon != want.Soon {
			t.Errorf("%s: %+v", list[i].ID, list[i])
		}
	}
}
