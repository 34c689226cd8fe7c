package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/cli"
	"ociproxy/internal/probe"
)

// probeFlags are the flags of probe.
type probeFlags struct {
	file      string
	images    []string
	promoted  string
	maxImages int
	as        []string
	identity  string
	platforms []string
	signed    bool
	decisions bool
	vantage   string
	self      string
	endpoints string

	requests    int64
	bytes       byteSize
	most        time.Duration
	rate        float64
	timeout     time.Duration
	concurrency int
	plainHTTP   []string
	ca          string

	dry       bool
	every     time.Duration
	pathEvery time.Duration
	dayBytes  byteSize
	listen    listening
	status    string

	against    string
	sampleTags int
	reports    []string
}

// identityVariable names the file of the probe's private key.
const identityVariable = "OCI_PROXY_PROBE_KEY"

func (a *app) probe() *cobra.Command {
	d := probe.DefaultLimits
	f := probeFlags{bytes: byteSize(d.Bytes), dayBytes: 10 << 30}
	cmd := &cobra.Command{
		Use:   "probe NAME",
		Short: "Ask a deployment what its clients ask, and judge the answers",
		Long: `probe pulls images from the registry NAME as its clients do, and judges every answer: TLS and
protocols of each host, tags, manifests, every byte of every layer, ranges, errors, signatures. It
knows nothing of the servers behind NAME. docs/proving-a-deployment.md explains the checks.

The images are those of --image, of promoter manifests (--promoted), or of the list
mirror.repositories.list of the config.

With the private key of a probe identity (--identity) it also asks as clients of other places: of
those in the config, unless --as says otherwise. As such a client it sees where the client is sent
and reads at most 64 KiB of a blob. With a config it compares that with what explain says.

It says first what a run may cost, and stops at these bounds. With --every it repeats the run and
serves metrics on --listen. Then only some runs read whole layers (--path-every). With --status it
also writes a page for people outside into a bucket: docs/public-status.md.

With --against it compares two names instead: tags, digests, answers, referrers and sizes.`,
		Example: `  oci-proxyctl probe registry.example.org --image pause:3.9
  oci-proxyctl probe registry.example.org --config config.yaml --identity probe.pem --dry-run
  oci-proxyctl probe registry.example.org --config config.yaml --identity probe.pem --as aws --as unknown
  oci-proxyctl probe sandbox.example.org --image pause:3.9 --report probe.xml --report probe.md
  oci-proxyctl probe registry.example.org --image pause:3.9 --every 60s --listen 127.0.0.1:9092
  oci-proxyctl probe registry.example.org --config config.yaml --every 60s --vantage oslo \
    --status 's3://status-example?region=eu-north-1'
  oci-proxyctl probe sandbox.example.org --against registry.example.org --image pause --sample-tags 20`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runProbe(cmd.Context(), args[0], &f) },
	}
	fl := cmd.Flags()
	cli.OptionalConfigFlag(cmd, &f.file, a.env)
	imageFlag(cmd, &f.images)
	fl.StringVar(&f.promoted, "promoted", "", "`path` of promoter manifests whose images to request: a directory or a file")
	fl.IntVar(&f.maxImages, "max-images", 10, "`number` of images of --promoted or of the config to request, spread over all of them; 0: all")
	fl.StringArrayVar(&f.as, "as", nil, "ask as clients of this `place`: CLOUD/REGION, CLOUD, an address, unknown, config or all; may be repeated")
	fl.StringVar(&f.identity, "identity", a.env(identityVariable), "`file` with the private key of a probe identity; the environment variable "+identityVariable+" changes the default")
	fl.StringArrayVar(&f.platforms, "platform", []string{"linux/amd64"}, "pull for this `platform` os/architecture, or for all; may be repeated")
	fl.BoolVar(&f.signed, "signed", false, "an image without a signature is an error")
	fl.BoolVar(&f.decisions, "decisions", false, "read no whole layers")
	fl.StringVar(&f.vantage, "vantage", "", "`name` of where the probe runs, for reports and metrics")
	fl.StringVar(&f.self, "self", "", "public `address` of this machine, as the server should see it; needs --identity")
	fl.StringVar(&f.endpoints, "endpoints", "", "`file` with the published list of hosts, or none; default: the list that NAME publishes")
	fl.Int64Var(&f.requests, "max-requests", d.Requests, "at most this `number` of requests in a run")
	fl.Var(&f.bytes, "max-bytes", "at most this `size` of bodies in a run")
	fl.DurationVar(&f.most, "max-time", d.Time, "`time` limit of a run")
	fl.Float64Var(&f.rate, "max-rate", d.Rate, "at most this `number` of requests a second, to all hosts together")
	fl.DurationVar(&f.timeout, "request-timeout", 10*time.Second, "`time` for each request without its body")
	fl.IntVar(&f.concurrency, "concurrency", 4, "`number` of places, or of repositories, to ask about at once")
	plainHTTPFlag(cmd, &f.plainHTTP)
	fl.StringVar(&f.ca, "ca", "", "`file` with certificates (PEM) of authorities to trust besides those of the system")
	dryRunFlag(cmd, &f.dry)
	everyFlag(cmd, &f.every)
	fl.DurationVar(&f.pathEvery, "path-every", 24*time.Hour, "`time` between runs that read whole layers, with --every")
	fl.Var(&f.dayBytes, "max-bytes-per-day", "at most this `size` of bodies in 24 hours, with --every")
	f.listen.flags(cmd)
	fl.StringVar(&f.status, "status", "", "`URL` of the bucket for the public status, or a directory, with --every; needs --vantage")
	fl.StringVar(&f.against, "against", "", "compare with this other `registry`")
	fl.IntVar(&f.sampleTags, "sample-tags", 0, "with --against, compare what this `number` of tags in each repository lead to; 0: all")
	fl.StringArrayVar(&f.reports, "report", nil, "also write the report to this `file`: NAME.json, NAME.xml (JUnit) or NAME.md; may be repeated")
	notNegative(cmd, "max-images", "max-requests", "max-time", "max-rate", "request-timeout", "concurrency", "path-every", "sample-tags")
	a.completeProbe(cmd, &f)
	cli.OutputFlag(cmd, &a.format, cli.JUnit, cli.Markdown)
	cli.Exits(cmd,
		cli.ExitCode{Code: cli.CodeFailure, Means: "an answer would harm clients, or the deployment could not be asked"}, cli.Invalid,
		cli.ExitCode{Code: cli.CodeDifferent, Means: "warnings or checks that were not made, and no error; with --against: differences"})
	return cmd
}

// check finds contradictions between flags.
func (f *probeFlags) check(a *app) error {
	switch {
	case f.every < 0 || f.every > 0 && f.every < time.Second:
		return cli.Usage("--every 60s is usual", "--every %s is too short", f.every)
	case f.listen.address != "" && f.every == 0:
		return cli.Usage("a single run says at its end what it found", "--listen needs --every")
	case f.status != "" && f.every == 0 && !f.dry:
		return cli.Usage("--every 60s is usual: the page says when it is stale", "--status needs --every")
	case f.status != "" && f.against != "":
		return cli.Usage("a comparison says nothing about pulls", "--status and --against contradict each other")
	case f.every > 0 && f.against != "":
		return cli.Usage("schedule the comparison as a job", "--every and --against contradict each other")
	case f.every > 0 && (a.format == cli.JUnit || a.format == cli.Markdown):
		return cli.Usage("--output json writes a line for each run", "--every and --output %s contradict each other", a.format)
	case f.against != "" && a.format == cli.JUnit:
		return cli.Usage("want text, json or markdown", "--against has no output junit")
	case f.sampleTags > 0 && f.against == "":
		return cli.Usage("a probe of one name follows the tags of its images only", "--sample-tags needs --against")
	case len(f.as) > 0 && f.identity == "":
		return cli.Usage("make a key with oci-proxyctl key new, put its public half under probe.keys in the config, and name its file with --identity or "+identityVariable,
			"--as needs a probe identity")
	case f.self != "" && f.identity == "":
		return cli.Usage("the server tells a client at that address from this machine by the identity", "--self needs --identity")
	case f.every > 0 && len(f.reports) > 0:
		return cli.Usage("--output json writes a line for each run", "--every and --report contradict each other")
	case f.decisions && f.against != "":
		return cli.Usage("a comparison reads no layers", "--decisions and --against contradict each other")
	}
	for _, file := range f.reports {
		if format := reportFormat(file); format == "" || format == cli.JUnit && f.against != "" {
			return cli.Usage("want NAME.json, NAME.xml (not with --against) or NAME.md", "--report %s has no known form", file)
		}
	}
	return nil
}

// reportFormat returns the format of a file for a report; "": none.
func reportFormat(file string) cli.Format {
	switch filepath.Ext(file) {
	case ".json":
		return cli.JSON
	case ".xml":
		return cli.JUnit
	case ".md":
		return cli.Markdown
	}
	return ""
}

// writeReports writes a report to stdout and to the files of --report.
func (a *app) writeReports(files []string, write func(io.Writer, cli.Format) error) error {
	for _, file := range files {
		var b bytes.Buffer
		err := write(&b, reportFormat(file))
		if err == nil {
			err = atomicfile.Write(file, b.Bytes(), 0o644)
		}
		if err != nil {
			return cli.Fail("name a file in a directory that you may write to", "--report: %w", err)
		}
	}
	return write(a.stdout, a.format)
}

func (a *app) runProbe(ctx context.Context, name string, f *probeFlags) error {
	if err := f.check(a); err != nil {
		return err
	}
	if _, err := probe.Base(name, f.plainHTTP); err != nil {
		return cli.Usage("for example registry.example.org", "%w", err)
	}
	if f.against != "" {
		return a.probeAgainst(ctx, name, f)
	}
	run, err := a.openProbe(ctx, name, f)
	if err != nil {
		return err
	}
	defer run.close()
	switch {
	case f.dry:
		return run.plan(ctx)
	case f.every > 0:
		return run.loop(ctx)
	default:
		return run.once(ctx)
	}
}

// completeProbe completes what can be known without requests.
func (a *app) completeProbe(cmd *cobra.Command, f *probeFlags) {
	never := cobra.ShellCompDirectiveNoFileComp
	// The flags were just defined, so no error is possible.
	_ = cmd.RegisterFlagCompletionFunc("as", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		out := []string{"config", "all", "unknown"}
		if cfg, err := a.load(f.file); err == nil {
			for i := range cfg.Stores {
				out = append(out, cfg.Stores[i].Place.String())
			}
			for i := range cfg.Upstreams {
				out = append(out, cfg.Upstreams[i].Place.String())
			}
		}
		return out, never
	})
	_ = cmd.RegisterFlagCompletionFunc("image", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		cfg, err := a.load(f.file)
		if err != nil {
			return nil, never
		}
		return cfg.Mirror.Repositories.List, never
	})
	_ = cmd.RegisterFlagCompletionFunc("platform", cobra.FixedCompletions([]string{"all", "linux/amd64", "linux/arm64"}, never))
}

// byteSize is a flag's value: bytes in the form that people write, such as 500MiB.
type byteSize int64

// String returns the size in the form that Set accepts.
func (b *byteSize) String() string {
	text := humanize.IBytes(uint64(max(0, *b)))
	return text
}

// Set reads a size above 0.
func (b *byteSize) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > 1<<60 {
		return cli.Usage("for example 500MiB or 2GiB", "%q is no size", text)
	}
	*b = byteSize(n)
	return nil
}

// Type returns what --help shows for the value.
func (b *byteSize) Type() string { return "size" }
