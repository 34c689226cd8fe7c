package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/apply"
)

func (a *app) promoteSign() *cobra.Command {
	var s signing
	var access registryFlags
	var strict bool
	cmd := &cobra.Command{
		Use:   "sign DIR",
		Short: "Sign the promoted images that do not have our signature",
		Long: `sign checks every image of the manifests in the first destination of its project, which is where
images are signed. If the image is there and has no signature of this key, sign adds one; other
signatures stay. It does not sign images that are not there yet: promote run signs what it promotes,
before it sets a tag. A project whose manifests have an error is held back.

A signature is one that cosign makes with a key: the payload and its signature below the tag
sha256-HEX.sig. Keys of key management services are not supported.`,
		Example: `  COSIGN_PASSWORD=… oci-proxyctl promote sign registry.example.org/ --sign-key cosign.key`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			signer, err := s.signer(a)
			if err != nil {
				return err
			}
			if signer == nil {
				return cli.Usage("--sign-key cosign.key", "no key")
			}
			tree, err := a.manifests(args[0], strict)
			if err != nil {
				return err
			}
			a.idleIdentity(s.rename, tree)
			regs := access.open(a)
			defer regs.Close()
			sum := apply.SignAll(cmd.Context(), tree, regs, signer, apply.SignOptions{Exact: true})
			writeIdle(idleHosts(access.plainHTTP, regs.Requests()), a.stderr)
			if a.format == cli.JSON {
				err = cli.WriteJSON(a.stdout, sum)
			} else {
				writeHeld(sum.Held, a.stdout, cli.UseColor(a.stdout, a.env))
				fmt.Fprintln(a.stdout, signedLine(sum))
				err = heldVerdict(sum.Held, a.stdout)
			}
			if err != nil {
				return err
			}
			return signedErr(sum)
		},
	}
	strictFlag(cmd, &strict)
	s.keyFlags(cmd)
	access.flags(cmd)
	cli.OutputFlag(cmd, &a.format)
	signExits(cmd)
	return cmd
}

// thenSign ends a run. It signs images that earlier runs left without a signature, except those that the policy has
// just refused.
func (a *app) thenSign(ctx context.Context, dir string, p *promoteFlags, f *applyFlags, err error) error {
	s := &f.signing
	done, coded := errors.AsType[*cli.Error](err)
	if s.key == "" || p.since != "" || err != nil && !(coded && done.Shown) {
		return err
	}
	signer, e := s.signer(a)
	if e != nil {
		return e
	}
	tree, e := manifest.Load(dir)
	if tree, e = tree.Hold(e, p.strict); e != nil { // reported already, because the run read the same manifests
		return invalidManifests(e)
	}
	a.idleIdentity(s.rename, tree)
	var cfg *config.Config
	if p.config != "" {
		if cfg, e = a.load(p.config); e != nil {
			return a.invalid(e)
		}
	}
	regs := promote.NewRegistries(p.access(cfg, a.mirrorLog())) // with the same rate limits
	defer regs.Close()
	opt := apply.SignOptions{Skip: s.gate.Refused}
	if f.audit != "" {
		log, e := openAudit(f.audit)
		if e != nil {
			return e
		}
		defer log.Close()
		who := cmp.Or(f.who, whoami())
		opt.Log = func(repository string, d oci.Digest) error {
			return apply.Entry{Time: time.Now().UTC(), Who: who, Action: apply.Signed, Repository: repository, Digest: d, Result: "ok"}.Append(log)
		}
	}
	sum := apply.SignAll(ctx, tree, regs, signer, opt)
	if sum.Signed > 0 || len(sum.Failures) > 0 {
		fmt.Fprintln(a.stderr, signedLine(sum))
	}
	switch {
	case sum.Cause == nil:
		return err
	case ctx.Err() != nil:
		return errors.Join(err, signedErr(sum)) // interrupted
	}
	return cli.Exit(codeAfter(cli.Code(err)))
}

// signedLine returns the result of signing, in one line.
func signedLine(s *apply.Signatures) string {
	text := fmt.Sprintf("Signed %s of %s in place.", cli.Count(s.Signed, "image"), cli.Count(s.Images, "image"))
	if s.Absent > 0 {
		text += fmt.Sprintf(" %s not there yet.", cli.Count(s.Absent, "image"))
	}
	if n := len(s.Failures); n > 0 {
		text += fmt.Sprintf(" %s could not be signed: %s", cli.Count(int64(n), "image or repository", "images or repositories"), cli.OneLine(s.Failures[0]))
	}
	return text
}

// signedErr returns the error of a command after signing.
func signedErr(s *apply.Signatures) error {
	switch {
	case s.Cause == nil && len(s.Held) == 0:
		return nil
	case s.Cause == nil:
		return cli.Exit(cli.CodePartial)
	}
	code := cli.CodePartial
	if s.Images == 0 {
		code = cli.CodeFailure
	}
	what := cli.Count(int64(len(s.Failures)), "image or repository", "images or repositories")
	return &cli.Error{
		Err: fmt.Errorf("sign: %s failed: %w", what, s.Cause), Hint: "the same command goes on from there", Code: code,
	}
}

// Parts of the sums that are a run's exit codes.
const (
	codeRegistry = 4  // a registry could not be read or written
	codeRest     = 32 // the rest is done, or in place
)

// codeAfter returns the exit code of a run in which images could not be signed. code is the run's exit code before
// signing; 0 means success.
func codeAfter(code int) int {
	switch {
	case code == cli.CodeOK:
		code = codeRest
	case code < codeRest: // this code is never part of a sum
		return code
	}
	return code | codeRegistry
}
