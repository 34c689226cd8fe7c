package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/envelope"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/wait"
)

// switching holds the flags of the commands that write overrides.
type switching struct {
	at     published
	key    documentKey
	reason reason
	prom   prometheusFlags
	last   time.Duration // how long it holds; not of deny
	wait   time.Duration
	dry    bool
	over   bool
}

// defaultOverride is long enough to write, review and publish a config that says the same.
const defaultOverride = 4 * time.Hour

// inEffect is how long instances take to follow an override: they look every 15 seconds.
const inEffect = 30 * time.Second

// flags adds the flags and the exit codes of these commands.
func (s *switching) flags(a *app, cmd *cobra.Command, timed bool) {
	s.at.flags(cmd)
	s.key.flags(cmd)
	s.reason.flags(cmd)
	s.prom.flags(cmd)
	f := cmd.Flags()
	if timed {
		f.DurationVar(&s.last, "for", defaultOverride, "`time` after which it ends by itself, at most 24h")
	}
	waitFlag(cmd, &s.wait)
	dryRunFlag(cmd, &s.dry)
	replaceFlag(cmd, &s.over)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd,
		cli.ExitCode{Code: cli.CodeOK, Means: "it is published; with --wait every instance follows"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "nothing is published: the override key is wrong, or the bucket cannot be used"},
		cli.ExitCode{Code: cli.CodePartial, Means: "it is published, and not every instance follows within --wait"})
}

func (a *app) storeOff() *cobra.Command {
	var s switching
	cmd := &cobra.Command{
		Use:   "off NAME",
		Short: "Send no client to a store or upstream, for some hours",
		Long: `off publishes an override that every instance of every ring follows within 30 seconds: NAME gets no
client, whatever the config says. The config stays as it is. The override ends by itself after
--for, or with store on NAME. Then the store comes back in steps, if its probes are good.

The canonical upstream cannot be switched off. A second off for the same NAME replaces the first.`,
		Example: `  oci-proxyctl store off s3-use1 --why "answers 503"
  oci-proxyctl store off s3-use1 --for 12h --why "region is down" --wait 1m --prometheus http://prometheus:9090`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.override(cmd.Context(), &s, publication.Override{Action: publication.Off, Candidate: args[0]})
		},
	}
	s.flags(a, cmd, true)
	return cmd
}

func (a *app) storeDrain() *cobra.Command {
	var s switching
	cmd := &cobra.Command{
		Use:   "drain NAME",
		Short: "Send no new client to a store or upstream, for some hours",
		Long: `drain publishes an override like store off, with the state draining of the config: NAME gets no new
client, and its inventory and probes go on.`,
		Example: `  oci-proxyctl store drain s3-use1 --for 2h --why "maintenance of the provider"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.override(cmd.Context(), &s, publication.Override{Action: publication.Drain, Candidate: args[0]})
		},
	}
	s.flags(a, cmd, true)
	return cmd
}

func (a *app) storePin() *cobra.Command {
	var s switching
	var o publication.Override
	cmd := &cobra.Command{
		Use:   "pin --cloud CLOUD|--cidr CIDR --candidate NAME",
		Short: "Send some clients to named stores and upstreams only, for some hours",
		Long: `pin publishes an override: the clients of a cloud or of a range of addresses go only to the named
stores and upstreams, which must be in a published config.`,
		Example: `  oci-proxyctl store pin --cloud aws --candidate s3-use2 --why "s3-use1 is slow for all of AWS"
  oci-proxyctl store pin --cidr 192.0.2.0/24 --candidate main --for 1h --why "#1234"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case (o.Cloud == "") == (o.CIDR == ""):
				return cli.Usage("for example --cloud aws", "give one of --cloud and --cidr")
			case len(o.To) == 0:
				return cli.Usage("for example --candidate s3-use2; may be repeated", "--candidate is missing: where should they go?")
			}
			o.Action = publication.Pin
			return a.override(cmd.Context(), &s, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Cloud, "cloud", "", "`name` of the cloud of the clients")
	f.StringVar(&o.CIDR, "cidr", "", "`range` of addresses of the clients")
	f.StringArrayVar(&o.To, "candidate", nil, "`name` of a store or upstream that they may go to; may be repeated")
	s.flags(a, cmd, true)
	return cmd
}

func (a *app) storeDeny() *cobra.Command {
	var s switching
	cmd := &cobra.Command{
		Use:   "deny DIGEST|REPOSITORY",
		Short: "Refuse a digest or a repository, until it is reviewed",
		Long: `deny publishes an override: every instance refuses requests for the digest or the repository, and a
denied manifest also by its tags. It does not end by itself. Put it into deny: of the config,
publish that, and then end the override with store end.`,
		Example: `  oci-proxyctl store deny sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 --why "malware, #1234"
  oci-proxyctl store deny team/app --why "takedown, #1234"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := denied(args[0])
			if err != nil {
				return err
			}
			return a.override(cmd.Context(), &s, o)
		},
	}
	s.flags(a, cmd, false)
	return cmd
}

func (a *app) storeOn() *cobra.Command {
	var s switching
	cmd := &cobra.Command{
		Use:   "on NAME",
		Short: "End store off and store drain before their time",
		Long: `on ends the overrides off and drain of NAME. Instances send clients there again only when their
probes of NAME are good, ranges and resumed downloads included, and then in steps. That takes some
minutes. on changes no config: a store that the config switches off stays off.`,
		Example: `  oci-proxyctl store on s3-use1 --why "the provider has repaired it"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.endOverrides(cmd.Context(), &s, "on", "no override off or drain of "+args[0]+" holds", func(o *publication.Override) bool { return o.Candidate == args[0] })
		},
	}
	s.flags(a, cmd, false)
	return cmd
}

func (a *app) storeEnd() *cobra.Command {
	var s switching
	cmd := &cobra.Command{
		Use:   "end ID",
		Short: "End an override: off, drain, pin or deny",
		Long: `end ends the override that store overrides and config status show with this ID. Use it for pin and
deny; store on is the same for off and drain. A deny is ended only after a person has reviewed it.`,
		Example: `  oci-proxyctl store end deny-team-app-fda940b3 --why "it is in the config now"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.endOverrides(cmd.Context(), &s, "end", "no override "+args[0]+" holds", func(o *publication.Override) bool { return o.ID == args[0] })
		},
	}
	s.flags(a, cmd, false)
	return cmd
}

// open checks the flags and opens the publication.
func (s *switching) open(ctx context.Context, a *app) (site *publish.Site, with envelope.Signer, err error) {
	if err := s.reason.check(a); err != nil {
		return nil, nil, err
	}
	if s.wait > 0 && s.prom.address(a) == "" {
		return nil, nil, cli.Usage("name it with --prometheus or "+prometheusVariable, "--wait needs a Prometheus")
	}
	if site, err = s.at.open(ctx, a); err != nil {
		return nil, nil, err
	}
	site.Replace = s.over
	if with, err = s.key.signer(a, overrideRole); err != nil && !s.dry {
		return nil, nil, err
	}
	return site, with, nil
}

// override publishes a new override.
func (a *app) override(ctx context.Context, s *switching, o publication.Override) error {
	if o.Action != publication.Deny && (s.last < time.Minute || s.last > publication.MaxOverride) {
		return cli.Usage("for example --for 4h; a longer change belongs in the config", "--for %s is not in 1m to 24h", s.last)
	}
	site, with, err := s.open(ctx, a)
	if err != nil {
		return err
	}
	o.ID, o.Why, o.By = idOf(&o), s.reason.why, s.reason.by
	var about *outlook
	list, err := a.swapOverrides(ctx, s, site, with, func(state *publish.State, held []publication.Override) ([]publication.Override, error) {
		if state.Keys == nil || len(state.Keys.Override) == 0 {
			return nil, cli.Fail("add one: config keys add --override-key NAME=KEY", "the publication has no override key, so that nobody can publish overrides")
		}
		o.From = time.Now().UTC().Truncate(time.Second)
		if s.last > 0 {
			o.Until = o.From.Add(s.last)
		}
		if about, err = a.outlookOf(ctx, site, state, held, &o); err != nil {
			return nil, err
		}
		held = slices.DeleteFunc(held, func(b publication.Override) bool {
			return b.ID == o.ID || o.Candidate != "" && b.Candidate == o.Candidate
		})
		if len(held) == publication.MaxOverrides {
			return nil, cli.Fail("store overrides lists them, store end ends one", "there are %d overrides, and more are not possible", len(held))
		}
		return append(held, o), nil
	})
	if err != nil {
		return err
	}
	if !s.dry {
		a.logged(ctx, site, publish.Entry{By: o.By, Action: string(o.Action), Generation: list.Generation, Override: o.ID, Detail: aboutOverride(&o), Why: o.Why})
	}
	doc := switched{Override: &o, Ended: []string{}, Generation: list.Generation, DryRun: s.dry, Rings: about.rings}
	if !s.dry {
		doc.InEffect = time.Now().UTC().Truncate(time.Second).Add(inEffect)
	}
	if err := a.writeSwitched(&doc); err != nil || s.dry {
		return err
	}
	return a.await(ctx, s, site.Trust.Deployment, []publication.Override{o}, true)
}

// endOverrides ends the overrides for which which returns true.
func (a *app) endOverrides(ctx context.Context, s *switching, action, none string, which func(*publication.Override) bool) error {
	site, with, err := s.open(ctx, a)
	if err != nil {
		return err
	}
	var ended []publication.Override
	list, err := a.swapOverrides(ctx, s, site, with, func(_ *publish.State, held []publication.Override) ([]publication.Override, error) {
		ended = nil
		now := time.Now().UTC().Truncate(time.Second)
		var left []publication.Override
		for _, o := range held {
			if !o.Holds(now) || !which(&o) {
				left = append(left, o)
				continue
			}
			ended = append(ended, o)
			if o.Candidate != "" {
				// It stays for a while, so that instances that start now let the candidate come back in steps.
				if o.Until = now; !now.After(o.From) {
					o.From = now.Add(-time.Second) // an override lasts longer than nothing, and this one ends now
				}
				left = append(left, o)
			}
		}
		if len(ended) == 0 {
			return nil, cli.Fail("store overrides lists those that hold", "%s", none)
		}
		return left, nil
	})
	if err != nil {
		return err
	}
	doc := switched{Ended: []string{}, Generation: list.Generation, DryRun: s.dry}
	for i := range ended {
		doc.Ended = append(doc.Ended, ended[i].ID)
		if !s.dry {
			a.logged(ctx, site, publish.Entry{By: s.reason.by, Action: action, Generation: list.Generation, Override: ended[i].ID, Detail: aboutOverride(&ended[i]), Why: s.reason.why})
		}
	}
	if !s.dry {
		doc.InEffect = time.Now().UTC().Truncate(time.Second).Add(inEffect)
	}
	if err := a.writeSwitched(&doc); err != nil || s.dry {
		return err
	}
	return a.await(ctx, s, site.Trust.Deployment, ended, false)
}

// maxSwaps is how often a change is tried again because somebody else changed the overrides.
const maxSwaps = 30

// swapOverrides changes the list of overrides. When somebody else changes it at the same time, it reads the list again
// and calls edit again, so that both changes stay.
func (a *app) swapOverrides(ctx context.Context, s *switching, site *publish.Site, with envelope.Signer,
	edit func(*publish.State, []publication.Override) ([]publication.Override, error)) (*publication.Overrides, error) {
	for attempt := 1; ; attempt++ {
		state, err := readSite(ctx, site)
		if err != nil {
			return nil, err
		}
		if fault := state.Faults[publication.OverridesName]; fault != nil && s.over {
			a.warn("all overrides that are there are replaced: %v", fault)
		} else if fault != nil {
			return nil, cli.Fail("find out who wrote it; config keys show lists the keys; then use --replace", "what is there cannot be believed: %w", fault)
		}
		var held []publication.Override
		if state.Overrides != nil {
			held = slices.Clone(state.Overrides.Overrides)
		}
		now := time.Now()
		held = slices.DeleteFunc(held, func(o publication.Override) bool { return endedLongAgo(&o, now) })
		list, err := edit(state, held)
		if err != nil {
			return nil, err
		}
		if s.dry {
			return &publication.Overrides{Overrides: list}, nil
		}
		o, err := site.SetOverrides(ctx, state, with, list)
		switch {
		case err == nil:
			return o, nil
		case !errors.Is(err, publish.ErrChanged) || attempt == maxSwaps:
			return nil, writeFault(err, overrideRole)
		}
		if err := wait.For(ctx, wait.Jitter(wait.Doubled(50*time.Millisecond, attempt, 2*time.Second))); err != nil {
			return nil, err
		}
	}
}

// aboutOverride says what an override does, in a few words.
func aboutOverride(o *publication.Override) string {
	switch o.Action {
	case publication.Pin:
		return fmt.Sprintf("pin %s%s to %s", o.Cloud, o.CIDR, strings.Join(o.To, ", "))
	case publication.Deny:
		return "deny " + o.Digest + o.Repository
	case publication.Off, publication.Drain:
	}
	return string(o.Action) + " " + o.Candidate
}
