package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"

	"ociproxy/internal/registry/registrytest"
)

// emptyRegistry is the command registry NAME. It starts a registry and puts its host and port into NAME.
func emptyRegistry(ts *testscript.TestScript, _ bool, args []string) {
	r := registrytest.Start(registrytest.Options{})
	ts.Defer(r.Close)
	ts.Setenv(args[0], r.Host)
}

// keypair FILE writes a private key for signing images to FILE, and the public key for verifying them to FILE.pub.
func keypair(ts *testscript.TestScript, _ bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	ts.Check(err)
	write := func(name, kind string, der []byte) {
		ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	write(args[0], "PRIVATE KEY", private)
	write(args[0]+".pub", "PUBLIC KEY", public)
}

// push NAME REFERENCE TEXT… pushes an image whose layers are the texts, and puts its digest into NAME. If the first
// TEXT is "index", it pushes a random image for two platforms.
func push(ts *testscript.TestScript, _ bool, args []string) {
	ref, err := name.ParseReference(args[1], name.Insecure)
	ts.Check(err)
	var img v1.Image = empty.Image
	var d v1.Hash
	if args[2] == "index" {
		idx, err := random.Index(100, 2, 2)
		ts.Check(err)
		ts.Check(remote.WriteIndex(ref, idx))
		d, err = idx.Digest()
		ts.Check(err)
	} else {
		for _, text := range args[2:] {
			img, err = mutate.AppendLayers(img, static.NewLayer([]byte(text), types.OCILayer))
			ts.Check(err)
		}
		ts.Check(remote.Write(ref, img))
		d, err = img.Digest()
		ts.Check(err)
	}
	ts.Setenv(args[0], d.String())
}

// The help of each command of promote must state the command's own exit codes, once, and no others.
func TestPromoteHelp(t *testing.T) {
	var out bytes.Buffer
	a := &app{env: os.Getenv, stdout: &out, stderr: &out}
	commands := a.promote().Commands()
	if len(commands) < 9 {
		t.Errorf("only %d commands", len(commands))
	}
	for _, cmd := range commands {
		out.Reset()
		if err := a.execute(t.Context(), []string{"promote", cmd.Name(), "--help"}); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if strings.Count(text, "Exit codes:") != 1 {
			t.Errorf("%s states its exit codes %d times", cmd.Name(), strings.Count(text, "Exit codes:"))
		}
		for _, other := range []string{"audit adds", "mirror)", "rebuild", "diff,"} {
			if strings.Contains(text, other) {
				t.Errorf("%s: the help is about %q", cmd.Name(), other)
			}
		}
	}
}
