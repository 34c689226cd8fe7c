package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/store"
)

// Variables of the environment that stand for flags, so that a person on call types less.
const (
	publicationVariable = "OCI_PROXY_PUBLICATION" // --to
	deploymentVariable  = "OCI_PROXY_DEPLOYMENT"  // --deployment
	trustVariable       = "OCI_PROXY_CONFIG_KEYS" // --trust, separated by commas
	keyVariable         = "OCI_PROXY_KEY"         // --key
	prometheusVariable  = "OCI_PROXY_PROMETHEUS"  // --prometheus
)

// published holds the flags that name a publication and the keys that are trusted there.
type published struct {
	to         string
	deployment string
	trust      []string
}

func (p *published) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.to, "to", "", "`URL` of the bucket of the publication, or a directory; default: "+publicationVariable)
	f.StringVar(&p.deployment, "deployment", "", "`name` of the deployment, which every document must have; default: "+deploymentVariable)
	trustFlag(cmd, &p.trust)
}

func trustFlag(cmd *cobra.Command, trust *[]string) {
	cmd.Flags().StringArrayVar(trust, "trust", nil, "public `key` in base64, as key show prints it, whose signatures count; may be repeated")
}

// open returns the publication that the flags or the environment name.
func (p *published) open(ctx context.Context, a *app) (*publish.Site, error) {
	deployment := cmp.Or(p.deployment, a.env(deploymentVariable))
	if deployment == "" {
		return nil, cli.Usage("name it with --deployment or "+deploymentVariable, "no deployment")
	}
	if err := publication.CheckName(deployment); err != nil {
		return nil, cli.Usage("the name that the instances have in their own --deployment", "--deployment %w", err)
	}
	trust := p.trust
	if len(trust) == 0 {
		trust = slices.DeleteFunc(strings.Split(a.env(trustVariable), ","), func(s string) bool { return strings.TrimSpace(s) == "" })
	}
	if len(trust) == 0 {
		return nil, cli.Usage("name the root keys of the instances with --trust or "+trustVariable, "no trusted key")
	}
	for i := range trust {
		trust[i] = strings.TrimSpace(trust[i])
	}
	roots, err := trusted(trust)
	if err != nil {
		return nil, err
	}
	bucket, err := openPublication(ctx, cmp.Or(p.to, a.env(publicationVariable)), a.env)
	if err != nil {
		return nil, err
	}
	return &publish.Site{
		Bucket: bucket,
		Trust:  &publication.Trust{Deployment: deployment, Roots: roots, MaxAge: -1}, // what is stale must be renewable
	}, nil
}

// openPublication opens a bucket by its URL, or a directory by its path.
func openPublication(ctx context.Context, to string, env func(string) string) (store.Bucket, error) {
	if to == "" {
		return nil, cli.Usage("for example --to s3://BUCKET/config?region=us-east-1, or "+publicationVariable, "no publication: --to is missing")
	}
	if !strings.Contains(to, "://") {
		dir, err := filepath.Abs(to)
		if err != nil {
			return nil, fmt.Errorf("--to: %w", err)
		}
		to = "file://" + filepath.ToSlash(dir)
	}
	bucket, err := store.Open(ctx, to, store.Options{Getenv: env})
	if err != nil {
		return nil, cli.Usage("s3://NAME?region=…, gs://NAME, azblob://ACCOUNT/CONTAINER, each with /PREFIX, or a directory", "--to: %w", err)
	}
	return bucket, nil
}

// readSite reads what is published.
func readSite(ctx context.Context, site *publish.Site) (*publish.State, error) {
	state, err := site.Read(ctx)
	switch {
	case errors.Is(err, store.ErrDenied):
		return nil, cli.Fail("deploy/permissions/README.md lists the rights of each role", "%w", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, store.ErrUnfit):
		return nil, cli.Fail("create the bucket or directory first, and look at --to", "%w", err)
	}
	return state, err
}

// documentKey holds the flags that name the key to sign with.
type documentKey struct {
	file    string
	command string
	public  string
}

func (k *documentKey) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&k.file, "key", "", "`file` with the private key that signs, as key new makes it; default: "+keyVariable)
	f.StringVar(&k.command, "key-command", "", "`command` that signs in place of --key: it reads bytes and writes their ed25519 signature, raw or in base64")
	f.StringVar(&k.public, "public", "", "public `key` of --key-command, in base64")
	_ = cmd.MarkFlagFilename("key")
}

// signer returns what signs. Without any key it is an error that says for what one is needed.
func (k *documentKey) signer(a *app, role string) (envelope.Signer, error) {
	file := k.file
	switch {
	case k.command != "" && file != "":
		return nil, cli.Usage("give one of them", "--key and --key-command exclude each other")
	case k.command != "":
		return newCommandSigner(k.command, k.public)
	case k.public != "":
		return nil, cli.Usage("a key of --key is read from its file", "--public needs --key-command")
	}
	if file = cmp.Or(file, a.env(keyVariable)); file == "" {
		return nil, cli.Usage("name it with --key, --key-command or "+keyVariable, "no key: this needs %s", role)
	}
	private, err := key.Read(file)
	if err != nil {
		return nil, cli.Fail("key new FILE makes a key", "read key: %w", err)
	}
	return envelope.Key(private), nil
}

// The roles of keys, as errors name them.
const (
	configRole   = "a config key"
	overrideRole = "an override key"
	rootRole     = "the root key"
)

// replaceFlag adds --replace. The command must have looked at what is there with the person's eyes first.
func replaceFlag(cmd *cobra.Command, replace *bool) {
	cmd.Flags().BoolVar(replace, "replace", false,
		"replace what cannot be believed or was deleted, with a generation above all that instances know; for the time after a stolen key or bucket")
}

// reason holds the flags that say who does something and why.
type reason struct{ why, by string }

func (r *reason) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.why, "why", "", "`reason`, for the colleagues who read it later")
	f.StringVar(&r.by, "by", "", "`name` of who does it; default: the job of GitHub, GitLab or Prow, otherwise user and host")
}

// maxReason is what readers of the documents accept.
const maxReason = 1000

// check refuses a reason that readers would refuse. It fills in who does it.
func (r *reason) check(a *app) error {
	if r.by == "" {
		r.by = caller(a.env)
	}
	switch {
	case strings.TrimSpace(r.why) == "":
		return cli.Usage(`for example --why "s3-use1 answers 503"`, "--why is missing")
	case len(r.why) > maxReason || len(r.by) > maxReason:
		return cli.Usage("name an issue or a document for the rest", "--why and --by take at most %d bytes each", maxReason)
	}
	return nil
}

// caller returns who runs this program: in CI the job, elsewhere a person.
func caller(env func(string) string) string {
	switch {
	case env("GITHUB_ACTIONS") != "":
		return env("GITHUB_ACTOR") + " (github " + env("GITHUB_REPOSITORY") + " run " + env("GITHUB_RUN_ID") + ")"
	case env("GITLAB_CI") != "":
		return env("GITLAB_USER_LOGIN") + " (gitlab job " + env("CI_JOB_ID") + ")"
	case env("PROW_JOB_ID") != "":
		return "prow " + env("JOB_NAME") + " " + env("BUILD_ID")
	}
	return whoami()
}

// ringFlag adds --ring, which may name several rings.
func ringFlag(cmd *cobra.Command, rings *[]string) {
	cmd.Flags().StringSliceVar(rings, "ring", nil, "`names` of rings, separated by commas; may be repeated")
}

// checkRings refuses names that no ring can have, and the same name twice.
func checkRings(rings []string) error {
	for i, ring := range rings {
		if err := publication.CheckName(ring); err != nil {
			return cli.Usage("for example --ring canary,early", "--ring %w", err)
		}
		if slices.Contains(rings[:i], ring) {
			return cli.Usage("name each ring once", "--ring has %s twice", ring)
		}
	}
	return nil
}

// prometheusFlags say where to ask which instances there are.
type prometheusFlags struct {
	url  string
	seen time.Duration
}

func (p *prometheusFlags) flags(cmd *cobra.Command) {
	prometheusFlag(cmd, &p.url)
	cmd.Flags().DurationVar(&p.seen, "seen-within", 5*time.Minute, "`time` for which an instance counts after its last sample")
	notNegative(cmd, "seen-within")
}

func prometheusFlag(cmd *cobra.Command, url *string) {
	cmd.Flags().StringVar(url, "prometheus", "", "`URL` of the Prometheus that scrapes the instances; default: "+prometheusVariable)
}

// writeFault turns an error of writing a document into one that says what to do.
func writeFault(err error, role string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, publish.ErrChanged):
		return cli.Fail("look at it with config status and run the command again", "%w", err)
	case publication.FaultOf(err) == publication.Unsigned:
		return cli.Fail("this needs "+role+" of the set of keys: config keys show lists them", "%w", err)
	case errors.Is(err, store.ErrDenied):
		return cli.Fail("deploy/permissions/README.md lists the rights of each role", "%w", err)
	}
	return err
}

// nameOfKey returns the name of a key in a list; "" if it is not there.
func nameOfKey(list []publication.NamedKey, public ed25519.PublicKey) string {
	text := key.Format(public)
	for _, k := range list {
		if k.Key == text {
			return k.Name
		}
	}
	return ""
}
