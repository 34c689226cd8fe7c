package setup

import (
	"context"
	"maps"
	"slices"
	"strings"

	"ociproxy/internal/check"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
)

// Probe asks the registries and the buckets of a complete draft, as clients will, and notes in the draft which stores can
// take traffic: only those that gave layers of the images. A canonical registry that fails is not an error here: see
// [Draft.Refusal].
func (d *Draft) Probe(ctx context.Context, opts check.Options) (*check.Report, error) {
	d.states, d.lacks = nil, nil // every store is being filled, for clients of both families, until the probe shows more
	cfg, err := d.parse("init")
	if err != nil {
		return nil, refused(err)
	}
	opts.Images = d.images
	report, err := check.Live(ctx, cfg, opts)
	if err != nil {
		return nil, err
	}
	d.states, d.lacks = map[string]config.State{}, map[string]string{}
	for _, b := range d.buckets {
		if none := report.NoAddress(b.name); len(none) == 1 {
			d.lacks[b.name] = none[0]
		}
		if report.Ready(b.name) {
			d.states[b.name] = config.Active
		}
	}
	for _, r := range d.registries[1:] {
		if _, bad := report.Failure(r.name); bad {
			d.states[r.name] = config.Filling
		}
	}
	return report, nil
}

// Refusal returns the error of a report in which the canonical registry failed; nil if it did not. Nothing works without
// that registry.
func (d *Draft) Refusal(report *check.Report) error {
	f, bad := report.Failure(d.registries[0].name)
	if !bad {
		return nil
	}
	hint := f.Hint
	if hint != "" {
		hint += "; "
	}
	return cli.Fail(hint+"or write the config unasked with --no-probe", "the registry does not work for clients: %s: %s", f.Check, f.Detail)
}

// States returns what the probe found out about each bucket, by the name of its store.
func (d *Draft) States() map[string]config.State {
	out := map[string]config.State{}
	for _, b := range d.buckets {
		out[b.name] = config.Filling
		if d.states[b.name] == config.Active {
			out[b.name] = config.Active
		}
	}
	return out
}

// tryRegistry asks only the canonical registry.
func (d *Draft) tryRegistry(ctx context.Context, opts check.Options) error {
	one := d.clone()
	one.registries, one.buckets = one.registries[:1], nil
	opts.Progress = nil
	report, err := one.Probe(ctx, opts)
	if err != nil {
		return err
	}
	return one.Refusal(report)
}

// Next returns the commands to run next, for the config in file. Each is a line of a shell: a command, or a comment.
func (d *Draft) Next(file string) []string {
	file = shell(file)
	image := ""
	if len(d.images) > 0 {
		image = " --image " + shell(d.images[0])
	}
	next := []string{"oci-proxy check " + file + " --live" + image}
	if len(d.buckets) > 0 {
		mirror := "oci-proxyctl mirror --config " + file + " --dry-run"
		if len(d.images) == 0 {
			mirror += "   # first name the repositories under mirror:"
		}
		next = append(next, mirror)
		if slices.Contains(slices.Collect(maps.Values(d.States())), config.Filling) {
			next = append(next, "# mirror without --dry-run fills the stores; then write state: active in "+file)
		}
	}
	client := "192.0.2.7"
	if len(d.networks) > 0 {
		client = d.networks[0].cidr.Addr().Next().String()
	}
	return append(next, "oci-proxy serve --config "+file, "oci-proxy explain --config "+file+" --ip "+client)
}

// shell quotes a word for a shell where it needs that.
func shell(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("/._-:@=+,", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
