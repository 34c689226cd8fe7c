package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/command"
	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
)

// commandSigner signs with a program, which uses a key in a key service.
type commandSigner struct {
	words  []string
	public ed25519.PublicKey
}

// signWithin is how long the program may take. Key services answer in less than a second; a person may have to touch
// a token.
const signWithin = time.Minute

func newCommandSigner(text, public string) (envelope.Signer, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil, cli.Usage("for example --key-command ./sign.sh", "--key-command is empty")
	}
	if public == "" {
		return nil, cli.Usage("name the public key of the key service, in base64", "--key-command needs --public")
	}
	is, err := key.Parse(public)
	if err != nil {
		return nil, cli.Usage("the 32 bytes of the public key in base64", "--public %.60q: %w", public, err)
	}
	return &commandSigner{words, is}, nil
}

// Public implements [envelope.Signer].
func (s *commandSigner) Public() ed25519.PublicKey { return s.public }

// Sign implements [envelope.Signer].
func (s *commandSigner) Sign(ctx context.Context, data []byte) ([]byte, error) {
	out, err := command.Run(ctx, command.Command{Name: s.words[0], Args: s.words[1:], Stdin: bytes.NewReader(data), Within: signWithin, MaxOutput: 4096})
	if err != nil {
		return nil, fmt.Errorf("--key-command: %w", err)
	}
	return signatureOf(out)
}

// signatureOf reads a signature: 64 bytes, or their base64 with any white space around and in it.
func signatureOf(out []byte) ([]byte, error) {
	if len(out) == ed25519.SignatureSize {
		return out, nil
	}
	sig, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(out)), ""))
	if err != nil || len(sig) != ed25519.SignatureSize {
		return nil, errors.New("--key-command: its output is no ed25519 signature: want 64 bytes, raw or in base64")
	}
	return sig, nil
}
