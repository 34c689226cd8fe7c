package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/manifest"
	"ociproxy/internal/promote/apply"
	"ociproxy/internal/promote/sign"
)

// identityHelp is the help text of --sign-identity.
const identityHelp = "name of a registry in signatures: `FROM=TO`, such as us-docker.pkg.dev/project/images=registry.example.org; default: its own name"

// signing holds the flags of the commands that promote: which signatures are required before, and what is signed.
type signing struct {
	key    string
	rename string
	mode   sign.Mode
	keys   []string

	gate apply.Signing // of the run
}

// keyFlags adds the flags of the signing key.
func (s *signing) keyFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.key, "sign-key", "", "`file` with a private key of cosign; its password is in COSIGN_PASSWORD. Images are signed in the first destination of their project")
	f.StringVar(&s.rename, "sign-identity", "", identityHelp)
}

func (s *signing) flags(cmd *cobra.Command) {
	s.keyFlags(cmd)
	f := cmd.Flags()
	f.Var(&s.mode, "policy", "what to do about images that are not signed in the staging registry: `mode` off, warn or require")
	f.StringArrayVar(&s.keys, "policy-key", nil, "`file` with public keys (PEM) whose signatures on staging images count; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("policy", cobra.FixedCompletions(sign.Modes(), cobra.ShellCompDirectiveNoFileComp))
}

// signer returns the signer, or nil if nothing is to be signed.
func (s *signing) signer(a *app) (*sign.Signer, error) {
	if s.key == "" {
		return nil, nil
	}
	key, err := sign.LoadPrivateKey(s.key, a.env)
	if err != nil {
		return nil, cli.Fail("cosign generate-key-pair makes one; its password belongs into "+sign.PasswordVariable, "%w", err)
	}
	id, err := identity(s.rename)
	if err != nil {
		return nil, err
	}
	return &sign.Signer{Key: key, Identity: id}, nil
}

// policy returns what staging images must satisfy. warn is called with what would have been refused.
func (s *signing) policy(warn func(error)) (*sign.Policy, error) {
	p := &sign.Policy{Mode: s.mode, Warn: warn}
	if s.mode == "" || s.mode == sign.Off {
		return p, nil
	}
	if len(s.keys) == 0 {
		return nil, cli.Usage("--policy-key cosign.pub", "--policy %s needs a public key", s.mode)
	}
	var err error
	if p.Keys, err = sign.LoadKeys(s.keys...); err != nil {
		return nil, cli.Fail("a public key in PEM, as cosign.pub", "%w", err)
	}
	return p, nil
}

// identity parses FROM=TO. It returns nil for "".
func identity(text string) (sign.Identity, error) {
	if text == "" {
		return nil, nil
	}
	from, to, ok := strings.Cut(text, "=")
	if !ok || !manifest.ValidRegistry(from) || !manifest.ValidRegistry(to) {
		return nil, cli.Usage("--sign-identity us-docker.pkg.dev/project/images=registry.example.org", "--sign-identity %q is not FROM=TO", text)
	}
	return sign.Renamed(from, to), nil
}

// idleIdentity warns if a FROM=TO matches no image of a tree.
func (a *app) idleIdentity(text string, tree *manifest.Tree) {
	from, _, _ := strings.Cut(text, "=")
	if from == "" {
		return
	}
	for p, i := range tree.Images() {
		if name := p.Destinations[0].Repository(i.Name); strings.HasPrefix(name, from+"/") {
			return
		}
	}
	fmt.Fprintf(a.stderr, "warning: --sign-identity %s matches nothing: no project's first destination begins with %s\n", text, from)
}

// hooks puts the policy and the signer into the options of a run. They use the run's registries.
func (s *signing) hooks(a *app, opt *apply.Options) (err error) {
	if s.gate.Signer, err = s.signer(a); err != nil {
		return err
	}
	s.gate.Policy, err = s.policy(func(err error) { fmt.Fprintf(a.stderr, "warning: policy: %v\n", err) })
	if err != nil {
		return err
	}
	s.gate.Enter(opt)
	return nil
}
