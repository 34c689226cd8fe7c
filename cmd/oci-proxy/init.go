package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/check"
	"ociproxy/internal/cli"
	"ociproxy/internal/setup"
)

// initial holds the flags of init.
type initial struct {
	file                         string
	location, front, listen      string
	cache                        string
	registries, buckets, clients []string
	check.Options
	noProbe, force, dryRun bool
}

func (a *app) initConfig() *cobra.Command {
	var in initial
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a first config from a few answers, and test what it names",
		Long: `init writes a config with comments. It asks for the place of this instance, the registry that has
all images, the buckets for layers, and what stands in front of the server. Then it asks the
registry and the buckets, as clients will, and shows what it found. A bucket from which it can read
layers of the image gets the state active; any other one gets filling: fill it with oci-proxyctl
mirror. When the registry fails, init writes nothing; --no-probe leaves the tests out.

On a terminal init asks for what the flags do not say, unless both --location and --registry are
given. Otherwise it asks nothing, and what is not given has its default. Ctrl-C writes nothing.

FILE is where to write, by default the file that the other commands read: ` + cli.DefaultConfig + `,
or the one in ` + cli.ConfigVariable + `. init does not overwrite a file without --force.

PLACE is a cloud and a region, aws/us-east-1, or a place of your own with its latitude and longitude,
onprem/berlin@52.5,13.4, and then the code of its country if you like (…,13.4,DE). BUCKET is written
as under bucket in the config: s3://NAME?region=… (with &endpoint=URL, and &pathStyle=true, for a
server of your own), gs://NAME or azblob://ACCOUNT/CONTAINER. Quote it for your shell.`,
		Example: `  oci-proxy init config.yaml
  oci-proxy init config.yaml --location aws/us-east-1 --registry https://registry.example.org \
    --bucket 's3://layers-example?region=us-east-1' --image team/app:1.0
  oci-proxy init --location onprem/berlin@52.5,13.4 --registry https://harbor.example.org/library \
    --bucket 's3://layers?region=berlin&endpoint=https://objects.example.org&pathStyle=true' \
    --clients 10.20.0.0/16=onprem/berlin --dry-run
  oci-proxy init config.yaml --location gcp/us-central1 --front google-lb \
    --registry https://us-docker.pkg.dev/project/images@gcp/us-central1 --bucket gs://layers@gcp/us-east1`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions([]string{"yaml", "yml"},
			cobra.ShellCompDirectiveFilterFileExt),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.file = cli.ConfigPath(a.env)
			if len(args) > 0 {
				in.file = args[0]
			}
			return a.runInit(cmd.Context(), in, given(cmd))
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.location, "location", "", "`PLACE` where this instance runs")
	f.StringArrayVar(&in.registries, "registry", nil, "`URL[@PLACE]` of the registry that has all images, then of those with copies; may be repeated")
	f.StringArrayVar(&in.buckets, "bucket", nil, "`BUCKET[@PLACE]` for layers; may be repeated")
	f.StringVar(&in.front, "front", "direct", "`preset` of what stands in front: "+strings.Join(setup.Fronts(), ", "))
	f.StringArrayVar(&in.clients, "clients", nil, "`CIDR=PLACE` of your own networks; may be repeated")
	f.StringVar(&in.listen, "listen", ":8080", "`address` that clients connect to")
	f.StringVar(&in.cache, "cache", "", "`directory` for what the server keeps across restarts (default "+setup.ServiceCache+" where you may write to it, else one below your own caches)")
	f.BoolVar(&in.noProbe, "no-probe", false, "do not ask the registry and the buckets")
	f.BoolVar(&in.force, "force", false, "overwrite FILE")
	f.BoolVar(&in.dryRun, "dry-run", false, "print the config to stdout and write nothing")
	liveFlags(cmd, &in.Options)
	_ = cmd.RegisterFlagCompletionFunc("front", cobra.FixedCompletions(setup.Fronts(), cobra.ShellCompDirectiveNoFileComp))
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "the config was written, or printed"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "the registry failed its test, FILE exists, or it cannot be written"})
	return cmd
}

// given says which answers the flags have.
func given(cmd *cobra.Command) setup.Given {
	has := cmd.Flags().Changed
	return setup.Given{Location: has("location"), Registry: has("registry"), Bucket: has("bucket"), Image: has("image"),
		Front: has("front"), Clients: has("clients"), Listen: has("listen")}
}

func (a *app) runInit(ctx context.Context, in initial, given setup.Given) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !(given.Location && given.Registry) && !a.canAsk() {
		return incomplete(given)
	}
	if !in.dryRun {
		var err error
		if in.file, err = writable(in.file, in.force); err != nil {
			return err
		}
	}
	draft := setup.New(a.cacheDir())
	in.UserAgent = "oci-proxy/" + thisBuild().Version
	if err := a.answers(ctx, in, draft, given); err != nil {
		return err
	}
	doc := started{File: in.file, draft: draft}
	if !in.noProbe {
		var err error
		in.Progress = a.progress()
		if doc.Live, err = draft.Probe(ctx, in.Options); err != nil {
			return err
		}
	}
	return a.finishInit(in, doc)
}

// answers completes draft: with the flags, and on a terminal with the answers to questions.
func (a *app) answers(ctx context.Context, in initial, draft *setup.Draft, given setup.Given) error {
	if given.Location && given.Registry {
		return in.flags(draft, given)
	}
	if in.dryRun {
		fmt.Fprintln(a.stderr, "This prints a config to stdout.")
	} else {
		fmt.Fprintf(a.stderr, "This writes the config file %s.\n", in.file)
	}
	fmt.Fprintln(a.stderr, "Enter takes what stands in brackets. Ctrl-C ends without writing.")
	probe := &in.Options
	if in.noProbe {
		probe = nil
	}
	talk := setup.NewTalk(ctx, a.stdin, a.stderr, probe)
	if !given.Location {
		if err := talk.Location(draft); err != nil {
			return err
		}
	}
	if err := in.flags(draft, given); err != nil {
		return err
	}
	if err := talk.Rest(draft, given); err != nil {
		return err
	}
	fmt.Fprintln(a.stderr)
	return nil
}

// incomplete is the error about required flags where nobody can be asked.
func incomplete(given setup.Given) error {
	var missing []string
	if !given.Location {
		missing = append(missing, "--location PLACE")
	}
	if !given.Registry {
		missing = append(missing, "--registry URL")
	}
	return cli.Usage("oci-proxy init --help has examples; on a terminal init asks for what is missing",
		"missing: %s", strings.Join(missing, ", "))
}

// canAsk reports whether a person sits at both ends.
func (a *app) canAsk() bool { return cli.IsTerminal(a.stderr) && cli.IsInteractive(a.stdin) }

// flags puts the answers of the flags into draft.
func (in *initial) flags(draft *setup.Draft, given setup.Given) error {
	one := func(has bool, value string) []string {
		if has {
			return []string{value}
		}
		return nil
	}
	for _, v := range []struct {
		flag   string
		set    func(string) error
		values []string
	}{
		{"location", draft.SetLocation, one(given.Location, in.location)},
		{"registry", draft.AddRegistry, in.registries},
		{"bucket", draft.AddBucket, in.buckets},
		{"clients", draft.AddClients, in.clients},
		{"image", draft.AddImage, in.Images},
		{"front", draft.SetFront, one(given.Front, in.front)},
		{"listen", draft.SetListen, one(given.Listen, in.listen)},
		{"cache", draft.SetCache, one(in.cache != "", in.cache)},
	} {
		for i, value := range v.values {
			if err := v.set(value); err != nil {
				which := "--" + v.flag
				if len(v.values) > 1 {
					which += fmt.Sprintf(" (number %d)", i+1)
				}
				hint := ""
				if e, ok := errors.AsType[*cli.Error](err); ok {
					hint = e.Hint
				}
				return cli.Usage(hint, "%s: %w", which, err)
			}
		}
	}
	return nil
}
