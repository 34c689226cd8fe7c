package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/manifest"
	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/apply"
	"ociproxy/internal/promote/sign"
	"ociproxy/internal/registry"
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
			sum := signAll(cmd.Context(), tree, regs, signer, &signed{exact: true, Held: tree.Held})
			writeIdle(idleHosts(access.plainHTTP, regs.Requests()), a.stderr)
			if a.format == cli.JSON {
				err = cli.WriteJSON(a.stdout, sum)
			} else {
				writeHeld(sum.Held, a.stdout, cli.UseColor(a.stdout, a.env))
				fmt.Fprintln(a.stdout, sum)
				err = heldVerdict(sum.Held, a.stdout)
			}
			if err != nil {
				return err
			}
			return sum.err()
		},
	}
	strictFlag(cmd, &strict)
	s.keyFlags(cmd)
	access.flags(cmd)
	cli.OutputFlag(cmd, &a.format)
	signExits(cmd)
	return cmd
}

// thenSign ends a run: what earlier runs left without a signature gets one, but for what the policy has just refused.
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
	if tree, e = tree.Hold(e, p.strict); e != nil { // told before: the run read the same
		return invalidManifests(e)
	}
	a.idleIdentity(s.rename, tree)
	var cfg *config.Config
	if p.config != "" {
		if cfg, e = a.load(p.config); e != nil {
			return a.invalid(e)
		}
	}
	regs := promote.NewRegistries(p.access(cfg, a.mirrorLog())) // within the same rates
	defer regs.Close()
	work := &signed{skip: s.refused.has}
	if f.audit != "" {
		log, e := openAudit(f.audit)
		if e != nil {
			return e
		}
		defer log.Close()
		who := cmp.Or(f.who, whoami())
		work.log = func(repository string, d oci.Digest) error {
			return apply.Entry{Time: time.Now().UTC(), Who: who, Action: apply.Signed, Repository: repository, Digest: d, Result: "ok"}.Append(log)
		}
	}
	sum := signAll(ctx, tree, regs, signer, work)
	if sum.Signed > 0 || len(sum.Failures) > 0 {
		fmt.Fprintln(a.stderr, sum)
	}
	switch {
	case sum.cause == nil:
		return err
	case ctx.Err() != nil:
		return errors.Join(err, sum.err()) // interrupted
	}
	return cli.Exit(codeAfter(cli.Code(err)))
}

// signed is what came of signing: the JSON document of promote sign.
type signed struct {
	Images   int64    `json:"images"` // that are in place
	Signed   int64    `json:"signed"` // of them, those that lacked our signature
	Absent   int64    `json:"absent"` // that are not there yet
	Failures []string `json:"failures"`
	// Held is what was not looked at, since its manifests are faulty.
	Held []*manifest.Held `json:"held,omitempty"`

	exact bool                           // ask for each image's signatures
	skip  func(oci.Digest) bool          // not to be signed; nil: none
	log   func(string, oci.Digest) error // is told of new ones, by repository, one at a time; nil: nobody is

	mu    sync.Mutex
	cause error
}

// String is one line.
func (s *signed) String() string {
	text := fmt.Sprintf("Signed %s of %s in place.", cli.Count(s.Signed, "image"), cli.Count(s.Images, "image"))
	if s.Absent > 0 {
		text += fmt.Sprintf(" %s not there yet.", cli.Count(s.Absent, "image"))
	}
	if n := len(s.Failures); n > 0 {
		text += fmt.Sprintf(" %s could not be signed: %s", cli.Count(int64(n), "image or repository", "images or repositories"), cli.OneLine(s.Failures[0]))
	}
	return text
}

func (s *signed) err() error {
	switch {
	case s.cause == nil && len(s.Held) == 0:
		return nil
	case s.cause == nil:
		return cli.Exit(cli.CodePartial)
	}
	code := cli.CodePartial
	if s.Images == 0 {
		code = cli.CodeFailure
	}
	what := cli.Count(int64(len(s.Failures)), "image or repository", "images or repositories")
	return &cli.Error{
		Err: fmt.Errorf("sign: %s failed: %w", what, s.cause), Hint: "the same command goes on from there", Code: code,
	}
}

// Of the sums that are the exit codes of a run.
const (
	codeRegistry = 4  // a registry could not be read or written
	codeRest     = 32 // the rest is done, or in place
)

// codeAfter is the exit code of a run that ended with code, 0 if all is well, and of which images could not be signed.
func codeAfter(code int) int {
	switch {
	case code == cli.CodeOK:
		code = codeRest
	case code < codeRest: // it stands alone
		return code
	}
	return code | codeRegistry
}

func (s *signed) add(full string, d oci.Digest, made bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if made && err == nil && s.log != nil {
		err = s.log(full, d)
	}
	switch {
	case err != nil:
		s.cause = err
		s.Failures = append(s.Failures, err.Error())
		return
	case made:
		s.Signed++
	}
	s.Images++
}

// signAll signs what is in its canonical repository and lacks our signature, and adds to sum. Unless sum is exact the repository's list of tags must do where it can: an image with tags got its signature before them, so that only images
// without any signature, and those without tags, are asked for.
func signAll(ctx context.Context, tree *manifest.Tree, regs *promote.Registries, signer *sign.Signer, sum *signed) *signed {
	sum.Failures = []string{}
	var g errgroup.Group
	g.SetLimit(8) // repositories; the registries bound the requests
	for p, i := range tree.Images() {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			sum.repository(ctx, regs, signer, p.Destinations[0].Repository(i.Name), i)
			return nil
		})
	}
	_ = g.Wait() // failures are in sum
	if ctx.Err() != nil {
		sum.cause = context.Cause(ctx)
	}
	return sum
}

func (s *signed) repository(ctx context.Context, regs *promote.Registries, signer *sign.Signer, full string, i *manifest.Image) {
	list, err := regs.List(ctx, full)
	if errors.Is(err, registry.ErrNotFound) {
		list, err = new(registry.Listing), nil
	}
	if err != nil {
		s.add(full, oci.Digest{}, false, err)
		return
	}
	has := func(tag string) bool {
		_, ok := slices.BinarySearchFunc(list.Tags, tag, func(t registry.Tag, tag string) int { return strings.Compare(t.Name, tag) })
		return ok
	}
	for n := range i.Digests {
		d := &i.Digests[n]
		if ctx.Err() != nil {
			return
		}
		if s.skip != nil && s.skip(d.Digest) {
			continue
		}
		if !s.exact && len(d.Tags) > 0 && has(sign.SignatureTag(d.Digest)) {
			s.add(full, d.Digest, false, nil)
			continue
		}
		switch there, err := inPlace(ctx, regs, full, list, d.Digest); {
		case err != nil:
			s.add(full, d.Digest, false, err)
		case there:
			made, err := signOne(ctx, regs, signer, full, d.Digest)
			s.add(full, d.Digest, made, err)
		default:
			s.mu.Lock()
			s.Absent++
			s.mu.Unlock()
		}
	}
}

// inPlace says whether a repository has a digest.
func inPlace(ctx context.Context, regs *promote.Registries, full string, list *registry.Listing, d oci.Digest) (bool, error) {
	for _, t := range list.Tags {
		if t.Digest == d {
			return true, nil
		}
	}
	_, err := regs.Resolve(ctx, full, d.String())
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
