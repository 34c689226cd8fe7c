package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/gate"
	"ociproxy/internal/lease"
	"ociproxy/internal/prometheus"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/rollout"
)

// rolling holds the flags of rollout.
type rolling struct {
	at           published
	key          documentKey
	reason       reason
	gates        string
	prometheus   string
	rings        []string
	stores       []string
	steps        []int
	pauseBefore  []string
	resume       bool
	abort        bool
	ignoreFreeze bool
	dry          bool
}

func (a *app) rollout() *cobra.Command {
	var f rolling
	cmd := &cobra.Command{
		Use:   "rollout FILE",
		Short: "Publish a config step by step, watch it, and go back if it does harm",
		Long: `rollout publishes the config in FILE to one ring after the other. After each step it waits until all
instances of the ring have it, and watches them. The gates in the file of --gates say what is good:
the results of probes, and Prometheus expressions. When a gate is bad, rollout publishes again what
the rings had before. Without data or traffic it does not go on.

With --store and --steps each step gives one store of FILE more clients, in all the rings at once.

Its state lies in the bucket. End it at any time, and run the same command again, on any machine: it
goes on. --resume also continues one that waits for a human (--pause-before). --abort takes it back.
docs/rollout.md explains the file of gates, and what to do after each end.`,
		Example: `  oci-proxyctl rollout config.yaml --rings canary,early,all --gates gates.yaml --why "#1234" --dry-run
  oci-proxyctl rollout config.yaml --rings canary,early,all --gates gates.yaml --why "#1234" --pause-before all
  oci-proxyctl rollout --resume --gates gates.yaml
  oci-proxyctl rollout config.yaml --store s3-use1 --steps 1,5,25,50,100 --rings all --gates gates.yaml --why "new store"
  oci-proxyctl rollout --abort --gates gates.yaml --why "support sees failed pulls"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) > 0 {
				file = args[0]
			}
			if err := f.check(a, file); err != nil {
				return err
			}
			return a.runRollout(cmd.Context(), file, &f)
		},
	}
	fl := cmd.Flags()
	f.at.flags(cmd)
	f.key.flags(cmd)
	f.reason.flags(cmd)
	prometheusFlag(cmd, &f.prometheus)
	fl.StringVar(&f.gates, "gates", "", "`file` of gates")
	fl.StringSliceVar(&f.rings, "rings", nil, "`names` of the rings in the order of the steps, separated by commas")
	storeFlag(cmd, &f.stores)
	fl.IntSliceVar(&f.steps, "steps", nil, "with --store: the `percents` of client networks that the store may serve, separated by commas")
	fl.StringSliceVar(&f.pauseBefore, "pause-before", nil, "`names` of rings: stop before their first step, until --resume")
	fl.BoolVar(&f.resume, "resume", false, "continue the rollout that has not ended, also one that waits for a human")
	fl.BoolVar(&f.abort, "abort", false, "take back the rollout that has not ended")
	fl.BoolVar(&f.ignoreFreeze, "ignore-freeze", false, "begin steps although the file of gates has a freeze; needs --why")
	dryRunFlag(cmd, &f.dry)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd,
		cli.ExitCode{Code: cli.CodeOK, Means: "all steps are done; with --dry-run: the plan is possible"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "it stopped, and the present step stays: somebody else published, an error, or interrupted"},
		cli.ExitCode{Code: cli.CodeInvalid, Means: "the config or the file of gates is invalid"},
		cli.ExitCode{Code: cli.CodeUndone, Means: "taken back: a gate was bad, instances did not take it, or --abort"},
		cli.ExitCode{Code: cli.CodePaused, Means: "it waits for a human: --resume goes on, --abort takes back"},
		cli.ExitCode{Code: cli.CodeNoVerdict, Means: "no verdict in time: the present step stays; run it again to wait longer"},
		cli.ExitCode{Code: cli.CodeFrozen, Means: "a freeze holds: the present step stays; run it again later"},
		cli.ExitCode{Code: cli.CodeHeld, Means: "another run of rollout is at work"},
		cli.ExitCode{Code: cli.CodeStuck, Means: "it must go back, and could not: some rings still have what did harm"})
	return cmd
}

// check finds missing flags and contradictions.
func (f *rolling) check(a *app, file string) error {
	begins := !f.resume && !f.abort
	switch {
	case f.resume && f.abort:
		return cli.Usage("give one of them", "--resume and --abort exclude each other")
	case !begins && (file != "" || len(f.rings)+len(f.stores)+len(f.steps)+len(f.pauseBefore) > 0):
		return cli.Usage("the rollout that has not ended knows its config and its steps", "--resume and --abort take no FILE and no steps")
	case !begins && f.dry:
		return cli.Usage("config status shows the rollout", "--dry-run shows the plan of a new rollout only")
	case begins && file == "":
		return cli.Usage("or continue one that has not ended: --resume", "name the FILE of the config")
	case f.gates == "":
		return cli.Usage("deploy/rollout/gates.yaml is an example", "--gates is missing")
	case begins && len(f.rings) == 0:
		return cli.Usage("for example --rings canary,early,all", "--rings is missing")
	case len(f.stores) > 1 || (len(f.stores) == 1) != (len(f.steps) > 0):
		return cli.Usage("for example --store s3-use1 --steps 1,5,25,50,100", "--steps needs one --store, and --store needs --steps")
	}
	if err := checkRings(f.rings); err != nil {
		return err
	}
	for _, ring := range f.pauseBefore {
		if !slices.Contains(f.rings, ring) {
			return cli.Usage("it pauses before the first step of a ring of --rings", "--pause-before %s is none of --rings", ring)
		}
	}
	for i, p := range f.steps {
		if p < 1 || p > 100 || i > 0 && p <= f.steps[i-1] {
			return cli.Usage("for example --steps 1,5,25,50,100", "--steps: want growing percents from 1 to 100")
		}
	}
	if f.resume && !f.ignoreFreeze || f.dry {
		f.reason.why = cmp.Or(f.reason.why, "resumed")
	}
	return f.reason.check(a)
}

// gateFile reads the file of gates.
func (a *app) gateFile(name string) (*gate.File, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, cli.Fail("name the file with --gates", "read gates: %w", err)
	}
	file, err := gate.Parse(name, text)
	if err != nil {
		return nil, &cli.Error{Err: fmt.Errorf("the gates are invalid:\n%w", err), Hint: "docs/rollout.md explains the keys", Code: cli.CodeInvalid}
	}
	return file, nil
}

func (a *app) runRollout(ctx context.Context, file string, f *rolling) error {
	gates, err := a.gateFile(f.gates)
	if err != nil {
		return err
	}
	plan := rollout.Plan{Why: f.reason.why, PauseBefore: f.pauseBefore}
	if file != "" {
		if plan.Steps, err = a.rolloutSteps(file, f); err != nil {
			return err
		}
	}
	source, err := a.openPrometheus(f.prometheus)
	if err != nil {
		return err
	}
	site, err := f.at.open(ctx, a)
	if err != nil {
		return err
	}
	// One Prometheus may watch several deployments that have the same rings.
	gates.Instances.Match = fmt.Sprintf("deployment=%q,%s", site.Trust.Deployment, gates.Instances.Match)
	if f.dry {
		return a.planRollout(ctx, site, gates, source, plan)
	}
	sign, err := f.key.signer(a, configRole)
	if err != nil {
		return err
	}
	show := &rolloutShow{app: a, live: a.format == cli.Text && cli.IsTerminal(a.stdout)}
	audit := publish.Audit{Bucket: site.Bucket}
	opt := rollout.Options{
		Site: site, Sign: sign, Gates: gates, By: f.reason.by, IgnoreFreeze: f.ignoreFreeze,
		NewJudge: func(baseline map[string][]string) rollout.Judge { return gate.NewJudge(gates, source, baseline) },
		Tell: func(ctx context.Context, e rollout.Event) {
			show.event(&e)
			if e.Kept() {
				a.auditRollout(ctx, &audit, &e, &f.reason)
			}
		},
	}
	var end rollout.End
	switch {
	case f.abort:
		end, err = rollout.Abort(ctx, opt, f.reason.why)
	case f.resume:
		end, err = rollout.Resume(ctx, opt)
	default:
		end, err = rollout.Start(ctx, opt, plan)
	}
	show.finish()
	if err != nil {
		return rolloutFault(ctx, err)
	}
	if end == rollout.EndDone {
		return nil
	}
	return cli.Exit(map[rollout.End]int{
		rollout.EndUndone: cli.CodeUndone, rollout.EndPaused: cli.CodePaused,
		rollout.EndFrozen: cli.CodeFrozen, rollout.EndNoVerdict: cli.CodeNoVerdict,
	}[end])
}

// auditWithin limits how long a rollout waits for the audit log: watching is more important.
const auditWithin = 15 * time.Second

// auditRollout appends an event to the audit log. The end of the run does not keep it from that.
func (a *app) auditRollout(ctx context.Context, audit *publish.Audit, e *rollout.Event, r *reason) {
	detail := fmt.Sprintf("%s, step %d of %d (%s)", e.Rollout, e.Step, e.Steps, e.Label)
	if e.Detail != "" {
		detail += ": " + e.Detail
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditWithin)
	defer cancel()
	err := audit.Append(ctx, publish.Entry{
		By: r.by, Action: "rollout " + e.Event, Rings: e.Rings, Generation: e.Generation, SHA256: e.SHA256, Detail: detail[:min(len(detail), 4000)], Why: r.why,
	})
	if err != nil {
		a.warn("%v", err)
	}
}

// rolloutFault turns an error of a rollout into one that says what to do.
func rolloutFault(ctx context.Context, err error) error {
	const next = "the rings stay as they are; run the same command again, or take it back with --abort"
	switch {
	case errors.Is(err, lease.ErrHeld):
		return &cli.Error{Err: err, Hint: "wait for its end, or end it", Code: cli.CodeHeld}
	case errors.Is(err, rollout.ErrStuck):
		return &cli.Error{Err: err, Hint: "run rollout --abort, or config rollback --ring for each ring that config status shows with it", Code: cli.CodeStuck}
	case errors.Is(err, rollout.ErrClock):
		return cli.Fail("set the clock of this machine, or go on elsewhere; --abort takes it back here too", "%w", err)
	case errors.Is(err, rollout.ErrForeign):
		return cli.Fail("look with config status; --abort takes back the rings that still have this rollout's config, and leaves the others alone", "%w", err)
	case errors.Is(err, rollout.ErrOther):
		return cli.Fail("--resume continues it, --abort takes it back", "%w", err)
	case errors.Is(err, rollout.ErrNothing):
		return cli.Fail("begin one with FILE and --rings", "%w that has not ended", err)
	case errors.Is(err, rollout.ErrState):
		return cli.Fail("was its key revoked? Take back the rings with config rollback, then remove "+rollout.StateName, "%w", err)
	case errors.Is(err, publish.ErrNoRing):
		return cli.Fail("there must be something to go back to: publish the present config with config publish first", "%w", err)
	case publication.FaultOf(err) == publication.Unsigned:
		return writeFault(err, configRole)
	case ctx.Err() != nil:
		return cli.Fail(next, "interrupted")
	}
	return cli.Fail(next, "%w", err)
}

// openPrometheus makes a client of the server of --prometheus.
func (a *app) openPrometheus(url string) (*prometheus.Client, error) {
	url = cmp.Or(url, a.env(prometheusVariable))
	if url == "" {
		return nil, cli.Usage("gates ask it: for example --prometheus http://prometheus:9090, or "+prometheusVariable, "--prometheus is missing")
	}
	client, err := prometheus.New(url, a.env)
	if err != nil {
		return nil, cli.Usage("for example http://prometheus:9090", "--prometheus: %w", err)
	}
	return client, nil
}

// rolloutShow shows the events of a rollout.
type rolloutShow struct {
	*app
	live bool   // the last line is written over
	last string // detail of the last watch
	open bool   // a live line has not ended
}

func (s *rolloutShow) event(e *rollout.Event) {
	if s.format == cli.JSON {
		_ = cli.WriteJSONLine(s.stdout, e) // the rollout goes on if nobody reads
		return
	}
	at := e.Time.Local().Format("15:04:05")
	if e.Event == "watch" {
		line := cli.OneLine(fmt.Sprintf("%s  %s: %s", at, e.Label, watchText(e)))
		switch {
		case s.live:
			if len(line) > 150 {
				line = line[:150]
			}
			fmt.Fprintf(s.stdout, "\r\x1b[K%s", line)
			s.open = true
		case e.Detail != s.last:
			fmt.Fprintln(s.stdout, line)
		}
		s.last = e.Detail
		return
	}
	s.finish()
	text := map[string]string{
		"begin": "begins", "resume": "goes on", "publish": fmt.Sprintf("published as generation %d; waits for the instances", e.Generation),
		"effect": "all instances have it", "pass": "good", "trouble": "it tries again", "undo": "goes back",
		string(rollout.EndDone): "done: all steps are good", string(rollout.EndUndone): "taken back",
		string(rollout.EndPaused): "waits for a human: --resume goes on, --abort takes back",
		string(rollout.EndFrozen): "a freeze holds: run it again later, or --ignore-freeze", string(rollout.EndNoVerdict): "no verdict in time: run it again to wait longer, or --abort",
	}[e.Event]
	if e.Detail != "" {
		text += ": " + cli.OneLine(e.Detail)
	}
	fmt.Fprintf(s.stdout, "%s  rollout %s, %s (%d of %d): %s\n", at, e.Rollout, e.Label, e.Step, e.Steps, text)
}

// finish ends a line that is written over.
func (s *rolloutShow) finish() {
	if s.open {
		fmt.Fprintln(s.stdout)
	}
	s.open = false
}

// watchText is the state of a step and the present values of the gates.
func watchText(e *rollout.Event) string {
	var all []string
	for _, r := range e.Evaluation.Results {
		all = append(all, fmt.Sprintf("%s %s: %s", r.Gate, r.Verdict, r.Detail))
	}
	if len(all) == 0 {
		return e.Detail
	}
	return e.Detail + " [" + strings.Join(all, " | ") + "]"
}
