package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/cli"
	"ociproxy/internal/replay"
)

// replaying holds the flags of replay.
type replaying struct {
	old, next, format, host, seed, at string
	feedTimeout                       time.Duration
	month                             float64
	blob                              optionalSize
	limits                            replay.Limits
	feeds                             []string // names of the new config's feeds, with --seed
	warnings                          []string // that were printed; the report has them too
	quiet                             bool     // only the report has the warnings
}

// warn prints a warning, and keeps it for the report: who reads a comment on a pull request does not see stderr.
func (how *replaying) warn(a *app, format string, args ...any) {
	how.warnings = append(how.warnings, fmt.Sprintf(format, args...))
	if !how.quiet {
		a.warn("%s", how.warnings[len(how.warnings)-1])
	}
}

func (a *app) replay() *cobra.Command {
	var how replaying
	cmd := &cobra.Command{
		Use:   "replay --old FILE --new FILE LOG...",
		Short: "Decide recorded traffic under two configs, and compare",
		Long: `replay reads logs of requests, and decides every download of a blob or a manifest under two configs,
as the server does while all stores and upstreams work and hold everything. It says which requests
and bytes move, what that costs, how the mean round trip changes, and which clients lose or gain a
choice between candidates. Costs are estimates: each byte has the price of the next one. It changes
nothing and asks no server.

LOG is a file, or - for stdin. It may be compressed with gzip or zstd. replay knows the request log
of oci-proxy, Google's load balancers and Cloud Run (JSON of Cloud Logging), AWS's Application Load
Balancer, CloudFront, nginx and Apache, and finds out by itself which one it reads. Only the log of
oci-proxy has the sizes of blobs. For the others give --blob-size.

To locate clients it takes the copies of the feeds on this machine: ranges.cache and ranges.seed of
each config, or --seed. It fetches the feeds only when one of them has no copy.

--max-moved, --max-cost and --max-rtt set limits. If a change exceeds one, the exit code is 4.
docs/replay.md explains the results.`,
		Example: `  oci-proxyctl replay --old config.yaml --new next.yaml requests.jsonl.gz
  oci-proxyctl replay --old config.yaml --new next.yaml --seed seed --max-moved 5% --max-cost +2% --max-rtt +1ms --output markdown logs/*.zst
  gcloud logging read 'resource.type="http_load_balancer"' --format json | oci-proxyctl replay --old config.yaml --new next.yaml --blob-size 20MB -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Usage("name the files, or - for stdin", "no log to read")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runReplay(cmd.Context(), &how, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&how.old, "old", "", "config `file` before the change")
	f.StringVar(&how.next, "new", "", "config `file` after the change")
	f.StringVar(&how.format, "log-format", "", "`format` of every line: "+strings.Join(formatNames(), ", ")+"; default: found out")
	f.StringVar(&how.host, "host", "", "`name` of the registry that clients ask for, where the log does not say")
	f.StringVar(&how.seed, "seed", "", "`directory` of feeds, as ranges fetch writes it, in place of ranges.cache and ranges.seed")
	f.StringVar(&how.at, "at", "", "`time` at which the configs are compared, for announced dates; default: now")
	f.DurationVar(&how.feedTimeout, "feed-timeout", 15*time.Second, "`time` limit for fetching the feeds")
	f.Float64Var(&how.month, "month-requests", 0, "`number` of requests in a month, for the costs; 0: as many as in the log, for its time")
	f.Var(&how.blob, "blob-size", "`size` of a blob of which the log gives no size; without it such blobs cost nothing")
	f.Var(percentLimit{&how.limits.Moved}, "max-moved", "fail if more than this `percentage` of the requests moves")
	f.Var(percentLimit{&how.limits.Cost}, "max-cost", "fail if the cost grows by more than this `percentage`")
	f.Var(timeLimit{&how.limits.RTT}, "max-rtt", "fail if the mean round trip grows by more than this `time`")
	for _, name := range []string{"old", "new"} {
		_ = cmd.MarkFlagFilename(name, "yaml", "yml") // just defined
	}
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions(formatNames(), cobra.ShellCompDirectiveNoFileComp)) // just defined
	notNegative(cmd, "month-requests", "feed-timeout")
	cli.OutputFlag(cmd, &a.format, cli.Markdown)
	cli.Exits(cmd, cli.Invalid,
		cli.ExitCode{Code: cli.CodeFailure, Means: "a log or config cannot be read, no request could be decided, or interrupted"},
		cli.ExitCode{Code: cli.CodeDifferent, Means: "the change exceeds --max-moved, --max-cost or --max-rtt"})
	return cmd
}

func formatNames() []string {
	var out []string
	for _, f := range accesslog.Fronts() {
		out = append(out, string(f))
	}
	return out
}

// check refuses flags that contradict each other, and returns the time at which to compare.
func (how *replaying) check() (time.Time, error) {
	switch {
	case how.old == "" || how.next == "":
		return time.Time{}, cli.Usage("for example --old config.yaml --new next.yaml", "--old and --new are both needed")
	case how.old == "-" || how.next == "-":
		return time.Time{}, cli.Usage("stdin is for logs: give the configs as files", "replay does not read a config from stdin")
	case how.format != "" && !slices.Contains(formatNames(), how.format):
		return time.Time{}, cli.Usage("one of "+strings.Join(formatNames(), ", "), "--log-format %q is no format", how.format)
	case how.at == "":
		return time.Now(), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, how.at); err == nil {
			return at, nil
		}
	}
	return time.Time{}, cli.Usage("for example 2026-12-10 or 2026-12-10T08:00:00Z", "--at %q is no time", how.at)
}

func (a *app) runReplay(ctx context.Context, how *replaying, logs []string) error {
	at, err := how.check()
	if err != nil {
		return err
	}
	old, next, err := a.sides(ctx, how, at)
	if err != nil {
		return err
	}
	run := replay.New(replay.Options{
		Old: old, Next: next, Host: how.host, BlobSize: int64(how.blob), MonthRequests: how.month,
	})
	reader := &accesslog.Reader{Format: accesslog.Format(how.format)}
	end := a.watchReplay(reader, logs)
	// What was read counts, also when the rest cannot be read or the user has seen enough.
	ended := readAll(ctx, a, reader, logs, run)
	end()
	doc := newReplayed(how, at, reader.Stats(), run.Report(), ended)
	passed := ended != nil || doc.judge(how.limits)
	doc.warn(how, a)
	switch {
	case doc.Requests == 0 && ended != nil:
		return ended // a report of nothing would only hide it
	case doc.Requests == 0:
		return cli.Fail("replay needs GET requests for blobs and manifests: is it the right log, and is --log-format right?",
			"%s: no request to decide in %s", strings.Join(logs, ", "), cli.Count(doc.Lines.Read, "line"))
	}
	switch a.format {
	case cli.JSON:
		err = cli.WriteJSON(a.stdout, doc)
	case cli.Markdown:
		err = doc.writeMarkdown(a.stdout)
	default:
		err = doc.writeText(a.stdout)
	}
	if err = errors.Join(err, ended); err == nil && !passed {
		err = cli.Exit(cli.CodeDifferent)
	}
	return err
}

func readAll(ctx context.Context, a *app, reader *accesslog.Reader, logs []string, run *replay.Replay) error {
	for _, file := range logs {
		err := reader.ReadFile(ctx, file, a.stdin, func(r *accesslog.Record) error {
			if r.Format.OfBuckets() {
				return cli.Fail("give the log of oci-proxy, or of what stands before it; oci-proxyctl report --logs reads this one",
					"%s:%d: this is the log of a bucket (%s), and does not say what clients asked oci-proxy for", r.File, r.Line, r.Format)
			}
			run.Add(r)
			return nil
		})
		switch {
		case errors.Is(err, syscall.EISDIR):
			return cli.Fail("name the files in it", "%w", err)
		case errors.Is(err, fs.ErrNotExist):
			return cli.Fail("name the logs that exist, or - for stdin", "%w", err)
		case errors.Is(err, io.ErrUnexpectedEOF):
			return cli.Fail("the log is cut off, or still being written: get it again; no limit was judged", "%w", err)
		case err != nil:
			return err
		}
	}
	return nil
}

// watchReplay shows on a terminal how far the reader is. Call end before other output.
func (a *app) watchReplay(reader *accesslog.Reader, logs []string) (end func()) {
	watch, begin := a.progress(), time.Now()
	all := int64(0) // bytes; 0: not known
	for _, file := range logs {
		info, err := os.Stat(file)
		if err != nil || !info.Mode().IsRegular() {
			all = 0
			break
		}
		all += info.Size()
	}
	reader.Progress = func(s *accesslog.Stats) {
		text := fmt.Sprintf("%s, %s a second", cli.Count(s.Lines, "line"), humanize.Comma(int64(float64(s.Lines)/time.Since(begin).Seconds())))
		if all > 0 {
			text = fmt.Sprintf("%3d%%  %s", 100*s.Bytes/all, text)
		}
		watch.line(text)
	}
	return watch.clear
}

// sides loads both configs, and the address ranges of their clients.
func (a *app) sides(ctx context.Context, how *replaying, at time.Time) (old, next *replay.Side, err error) {
	was, err := a.load(how.old)
	if err != nil {
		return nil, nil, a.invalid(err)
	}
	is, err := a.load(how.next)
	if err != nil {
		return nil, nil, a.invalid(err)
	}
	where, err := a.locate(ctx, how, was, nil)
	if err != nil {
		return nil, nil, err
	}
	if old, err = replay.NewSide(was, at, where.ranges); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", how.old, err)
	}
	if where, err = a.locate(ctx, how, is, where); err != nil {
		return nil, nil, err
	}
	if next, err = replay.NewSide(is, at, where.ranges); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", how.next, err)
	}
	return old, next, ctx.Err()
}

// percentLimit is a limit in percent: 5%, +2%.
type percentLimit struct{ of **float64 }

// String returns the limit as Set accepts it.
func (l percentLimit) String() string {
	if l.of == nil || *l.of == nil {
		return ""
	}
	return strconv.FormatFloat(**l.of*100, 'g', -1, 64) + "%"
}

// Set reads a number with a percent sign.
func (l percentLimit) Set(text string) error {
	number, ok := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(v > -1e6 && v < 1e6) {
		return errors.New("want a percentage, for example 5%")
	}
	v /= 100
	*l.of = &v
	return nil
}

// Type returns what --help shows for the value.
func (percentLimit) Type() string { return "percentage" }

// timeLimit is a limit in milliseconds, written as a duration: 1ms, +500us.
type timeLimit struct{ of **float64 }

// String returns the limit as Set accepts it.
func (l timeLimit) String() string {
	if l.of == nil || *l.of == nil {
		return ""
	}
	return time.Duration(**l.of * float64(time.Millisecond)).String()
}

// Set reads a duration.
func (l timeLimit) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("want a time, for example 1ms")
	}
	v := float64(d) / float64(time.Millisecond)
	*l.of = &v
	return nil
}

// Type returns what --help shows for the value.
func (timeLimit) Type() string { return "time" }

// optionalSize is a byteSize whose default is none.
type optionalSize byteSize

// String returns the size in the form that Set accepts; "" for none.
func (b *optionalSize) String() string {
	if *b == 0 {
		return ""
	}
	return (*byteSize)(b).String()
}

// Set reads a size above 0.
func (b *optionalSize) Set(text string) error { return (*byteSize)(b).Set(text) }

// Type returns what --help shows for the value.
func (b *optionalSize) Type() string { return "size" }
