package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
)

func (a *app) store() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "store",
		Short: "List stores and upstreams, make and admit stores, and change how much traffic they get",
		Long: `store shows the stores and upstreams of the config, makes the bucket of a store, finds out whether a
store may get traffic, and edits state and rollout in the file. Comments, order and every other line
of the file stay as they are.

In an emergency, off, drain, pin and deny publish a signed override that every instance follows
within 30 seconds. They change no file. docs/emergency-switch.md says what to type.`,
		Example: `  oci-proxyctl store ls
  oci-proxyctl store show s3-use1
  oci-proxyctl store set s3-use1 --state active --rollout 5 --dry-run
  oci-proxyctl store set s3-use1 --state off
  oci-proxyctl store create s3-use1 --dry-run
  oci-proxyctl store admit s3-use1 --dry-run
  oci-proxyctl store off s3-use1 --why "answers 503"             # now, everywhere, for 4 hours`,
	},
		a.storeLs(),
		a.storeShow(),
		a.storeSet(),
		a.storeCreate(),
		a.storeAdmit(),
		a.storeOff(), a.storeDrain(), a.storePin(), a.storeDeny(), a.storeOn(), a.storeEnd(), a.storeOverrides(),
	)
}

// candidate is a store or upstream of a config, as store ls shows it. Only add fields; never remove one.
type candidate struct {
	Name      string   `json:"name"`
	Kind      string   `json:"kind"` // "store" or "upstream"
	Canonical bool     `json:"canonical,omitempty"`
	Place     string   `json:"place,omitempty"`
	CDN       string   `json:"cdn,omitempty"`
	State     string   `json:"state"`
	Rollout   *int     `json:"rollout,omitempty"` // percent; of stores
	Serves    []string `json:"serves"`
	Families  []string `json:"families"`
	Bucket    string   `json:"bucket,omitempty"`
	URL       string   `json:"url"`
	// Announced says that announced dates keep traffic away at present, whatever State is; absent when they do not.
	Announced string `json:"announced,omitempty"`

	list   string // of the config: "stores" or "upstreams"
	index  int
	stanza any // *config.Store or *config.Upstream
}

// candidates lists the stores and then the upstreams of a config, in the order of the file.
func candidates(cfg *config.Config) []candidate {
	var out []candidate
	now := cfg.At(time.Now())
	for i := range cfg.Stores {
		s, n := &cfg.Stores[i], &now.Stores[i]
		out = append(out, candidate{
			Name: s.Name, Kind: "store", Place: s.Place.String(), CDN: s.CDN, State: string(s.State), Rollout: &s.Rollout,
			Serves: s.Serves.Names(), Families: s.Families.Names(), Bucket: s.Bucket, URL: s.URL, Announced: n.Announce.Note(n.State),
			list: "stores", index: i, stanza: s,
		})
	}
	for i := range cfg.Upstreams {
		u, n := &cfg.Upstreams[i], &now.Upstreams[i]
		out = append(out, candidate{
			Name: u.Name, Kind: "upstream", Canonical: u.Canonical, Place: u.Place.String(), State: string(u.State),
			Serves: u.Serves.Names(), Families: u.Families.Names(), URL: u.URL, Announced: n.Announce.Note(n.State),
			list: "upstreams", index: i, stanza: u,
		})
	}
	return out
}

// candidateOf returns the store or upstream with a name.
func candidateOf(cfg *config.Config, name string) (candidate, error) {
	all := candidates(cfg)
	if i := slices.IndexFunc(all, func(c candidate) bool { return c.Name == name }); i >= 0 {
		return all[i], nil
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	hint := "store ls lists the names"
	if near := config.Suggest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return candidate{}, cli.Usage(hint, "no store or upstream %q in the config", name)
}

// loaded reads the config for a command that does nothing else.
func (a *app) loaded(ctx context.Context, file string) (*config.Config, error) {
	cfg, err := a.load(file)
	if err != nil {
		return nil, a.invalid(err)
	}
	return cfg, ctx.Err()
}

// completeCandidates completes the one argument of cmd with the names of stores and upstreams.
func (a *app) completeCandidates(cmd *cobra.Command, file *string) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		cfg, err := a.load(*file)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, c := range candidates(cfg) {
			names = append(names, c.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
