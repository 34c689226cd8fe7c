package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/replay"
	"ociproxy/internal/snapshot"
	"ociproxy/internal/usable"
)

func (a *app) config() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "config",
		Short: "Publish configs to rings of instances, and take them back",
		Long: `config publishes configs into a bucket, from which instances of oci-proxy read them: serve --config
URL. Instances belong to rings, such as canary, early and all. A publication says which config the
rings use. It is signed, and instances use it within 30 seconds.

A publication has three roles of keys. The root key signs the set of keys. Config keys sign what
config publish and config rollback write. Override keys sign what store off, drain, pin and deny
write, and nothing else.

The bucket, the deployment, the root keys and the private key can be in the environment:
  ` + publicationVariable + `=s3://BUCKET/config?region=us-east-1
  ` + deploymentVariable + `=production
  ` + trustVariable + `='mRrzl8…='
  ` + keyVariable + `=ci.key`,
		Example: `  oci-proxyctl config publish config.yaml --ring canary --why "new store in Oregon" --dry-run
  oci-proxyctl config status --prometheus http://prometheus:9090
  oci-proxyctl config rollback --ring canary --why "retries went up"`,
	},
		a.configPublish(), a.configStatus(), a.configDiff(), a.configRollback(), a.configRefresh(), a.configKeys(),
		a.configLog(), a.configExport())
}

// parsed reads and examines a config as oci-proxy check does. Files that it names are not opened: they lie on the
// machines of the instances.
func (a *app) parsed(file string) (*config.Config, error) {
	cfg, err := a.load(file)
	if err == nil {
		_, err = usable.Check(cfg, false)
	}
	if err != nil {
		return nil, a.invalid(err)
	}
	return cfg, nil
}

// contentOf returns the config that a ring uses. The error says why this program cannot read it.
func contentOf(ctx context.Context, site *publish.Site, h *publication.Head) (*config.Config, error) {
	text, err := site.Content(ctx, h.SHA256, h.Bytes)
	if err != nil {
		return nil, err
	}
	return config.Parse(publication.ContentName(h.SHA256), text)
}

// relativeFiles returns the files that a config names relative to itself: instances have nothing beside it.
func relativeFiles(cfg *config.Config) (keys []string) {
	elsewhere, err := config.Parse(filepath.FromSlash("/elsewhere/config.yaml"), cfg.Text())
	if err != nil {
		return nil // it was valid, so this does not happen
	}
	files := func(c *config.Config) [][2]string {
		return [][2]string{
			{"tls.cert", c.TLS.Cert}, {"tls.key", c.TLS.Key}, {"endpoints.signed", c.Endpoints.Signed},
			{"route.latency", c.Route.Latency}, {"ranges.cache", c.Ranges.Cache}, {"ranges.seed", c.Ranges.Seed},
			{"ranges.geoip.city", c.Ranges.GeoIP.City}, {"ranges.geoip.asn", c.Ranges.GeoIP.ASN},
		}
	}
	other := files(elsewhere)
	for i, one := range files(cfg) {
		if one[1] != other[i][1] {
			keys = append(keys, one[0])
		}
	}
	return keys
}

// changed says what a config changes for a ring. Only add fields; never remove one.
type changed struct {
	Ring       string        `json:"ring"`
	Generation uint64        `json:"generation,omitempty"` // of what the ring has; absent for a new ring
	Was        string        `json:"was,omitempty"`        // hash
	Is         string        `json:"is"`                   // hash
	Candidates []string      `json:"candidates"`           // those that differ, and how
	Clients    *replay.Moves `json:"clients,omitempty"`    // absent when they cannot be known here
	Diff       string        `json:"diff,omitempty"`       // of the text
	Unknown    string        `json:"unknown,omitempty"`    // why candidates and clients are not known

	cfg  *config.Config // what the ring has; nil if it has none, or this program cannot read it
	back string         // of a rollback: from where to where, for people
}

// change compares what a ring has with a config.
func change(ctx context.Context, site *publish.Site, ring string, h *publication.Head, next *config.Config, text []byte, now time.Time) (*changed, error) {
	c := &changed{Ring: ring, Is: publication.Hash(text), Candidates: []string{}}
	if h == nil {
		return c, nil
	}
	c.Generation, c.Was = h.Generation, h.SHA256
	if c.Was == c.Is {
		c.cfg, c.Clients = next, &replay.Moves{Moved: []replay.Move{}}
		return c, nil
	}
	old, err := site.Content(ctx, h.SHA256, h.Bytes)
	if err != nil { // a rollback to it is impossible, but a new publication repairs the ring
		c.Unknown = err.Error()
		return c, ctx.Err()
	}
	c.Diff = string(diff.Diff(fmt.Sprintf("%s (generation %d)", ring, h.Generation), old, "new", text))
	if c.cfg, err = config.Parse(publication.ContentName(h.SHA256), old); err != nil {
		c.Unknown = "this release cannot read what the ring has: " + err.Error()
		return c, nil
	}
	c.compare(next, now)
	return c, nil
}

func (c *changed) compare(next *config.Config, now time.Time) {
	if c.Candidates = snapshot.Differ(next, c.cfg); c.Candidates == nil {
		c.Candidates = []string{}
	}
	var err error
	if c.Clients, err = replay.Predict(next, c.cfg, now); err != nil {
		c.Unknown = "the clients that move are not known: " + err.Error()
	}
}

// writeText writes c for people. With text it also writes the difference of the texts.
func (c *changed) writeText(w io.Writer, text bool) error {
	var b strings.Builder
	if c.back != "" {
		b.WriteString(c.back + "\n")
	}
	switch {
	case c.Was == "":
		fmt.Fprintf(&b, "ring %s: new; it had no publication\n", c.Ring)
	case c.Was == c.Is:
		fmt.Fprintf(&b, "ring %s: it has this config, as generation %d\n", c.Ring, c.Generation)
	default:
		fmt.Fprintf(&b, "ring %s: %s → %s (it has generation %d)\n", c.Ring, short(c.Was), short(c.Is), c.Generation)
	}
	if text && c.Diff != "" {
		b.WriteString(c.Diff + "\n")
	}
	for _, one := range c.Candidates {
		fmt.Fprintf(&b, "  %s\n", one)
	}
	if c.Was != "" && c.Was != c.Is && len(c.Candidates) == 0 && c.Unknown == "" {
		b.WriteString("  no store or upstream differs\n")
	}
	if c.Unknown != "" {
		fmt.Fprintf(&b, "  unknown: %s\n", c.Unknown)
	}
	if c.Clients != nil && c.Was != c.Is {
		if err := writeMoves(&b, c.Clients); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// short is what people compare of a hash.
func short(hash string) string { return hash[:min(len(hash), 12)] }

// logged appends to the audit log what was done. If that is impossible it warns: what was done stays done.
func (a *app) logged(ctx context.Context, site *publish.Site, e publish.Entry) {
	log := publish.Audit{Bucket: site.Bucket}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := log.Append(within, e); err != nil {
		a.warn("it is done, but it is not in the audit log: %v", err)
	}
}
