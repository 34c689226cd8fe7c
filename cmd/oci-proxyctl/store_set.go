package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/config/edit"
	"ociproxy/internal/replay"
)

// setting holds the flags of store set.
type setting struct {
	file    string
	state   string
	rollout int
	dry     bool
	given   func(flag string) bool
}

func (a *app) storeSet() *cobra.Command {
	var how setting
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Change the state or rollout of a store or upstream in the config file",
		Long: `set changes the state or the rollout of a store or upstream in the config file, and no other byte of
it. It prints the difference, and at how many places clients now go elsewhere; a store that is
announced for a later date gets none before. It writes the file only if the server can use the new
one, and only if nobody else changed the file meanwhile.

A server that reads this file takes the change by itself. set asks no store whether it works: run
oci-proxy check --live before you give a store its first clients.`,
		Example: `  oci-proxyctl store set s3-use1 --state active --rollout 5 --dry-run
  oci-proxyctl store set s3-use1 --rollout 50
  oci-proxyctl store set s3-use1 --state off`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			how.given = cmd.Flags().Changed
			if err := how.check(); err != nil {
				return err
			}
			return a.runStoreSet(cmd.Context(), args[0], how)
		},
	}
	cli.ConfigFlag(cmd, &how.file, a.env)
	f := cmd.Flags()
	f.StringVar(&how.state, "state", "", "`state` of the store or upstream: "+strings.Join(config.Active.Values(), ", "))
	f.IntVar(&how.rollout, "rollout", 0, "`percent` of client networks that the store may serve, 0 to 100")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(config.Active.Values(), cobra.ShellCompDirectiveNoFileComp)) // just defined
	dryRunFlag(cmd, &how.dry)
	cli.OutputFlag(cmd, &a.format)
	a.completeCandidates(cmd, &how.file)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "the file says so now, or did before; with --dry-run: it could"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "the file cannot be changed, and is as it was"}, cli.Invalid)
	return cmd
}

// check refuses flags that no config can have.
func (s *setting) check() error {
	switch {
	case s.file == "-":
		return cli.Usage("name the file with --config", "store set changes a file, and stdin is none")
	case !s.given("state") && !s.given("rollout"):
		return cli.Usage("for example --state active --rollout 5", "nothing to set: give --state or --rollout")
	case s.given("state") && !slices.Contains(config.Active.Values(), s.state):
		hint := "one of " + strings.Join(config.Active.Values(), ", ")
		if near := config.Suggest(s.state, config.Active.Values()); near != "" {
			hint = fmt.Sprintf("did you mean %q? %s", near, hint)
		}
		return cli.Usage(hint, "--state %q is no state", s.state)
	case s.given("rollout") && (s.rollout < 0 || s.rollout > 100):
		return cli.Usage("for example --rollout 5", "--rollout %d is not in 0 to 100", s.rollout)
	}
	return nil
}

// sets returns the changes of the file that the flags ask for.
func (s *setting) sets(c candidate) (out []edit.Set, err error) {
	switch {
	case c.Canonical:
		return nil, cli.Usage("to replace it, make another upstream canonical in the file",
			"%s is the canonical upstream: it is always active, as the last resort of every request", c.Name)
	case s.given("rollout") && c.Rollout == nil:
		return nil, cli.Usage("--state takes an upstream in or out", "%s is an upstream, and only stores have a rollout", c.Name)
	}
	if s.given("state") {
		out = append(out, edit.Set{List: c.list, Name: c.Name, Key: "state", Value: s.state})
	}
	if s.given("rollout") {
		out = append(out, edit.Set{List: c.list, Name: c.Name, Key: "rollout", Value: strconv.Itoa(s.rollout)})
	}
	return out, nil
}

// stored is the JSON document of store set. Only add fields; never remove one.
type stored struct {
	Name    string              `json:"name"`
	File    string              `json:"file"`
	Changes []config.Difference `json:"changes"` // empty: the file said so already
	Diff    string              `json:"diff"`
	Clients *replay.Moves       `json:"clients,omitempty"` // absent when they cannot be known here
	Written bool                `json:"written"`
	DryRun  bool                `json:"dryRun"`
	// Announced is that of store ls, after the change.
	Announced string `json:"announced,omitempty"`
}

func (a *app) runStoreSet(ctx context.Context, name string, how setting) error {
	file, err := edit.Read(how.file)
	if errors.Is(err, fs.ErrNotExist) {
		return cli.Fail("name a file that exists with --config or OCI_PROXY_CONFIG", "%w", err)
	}
	if err != nil {
		return err
	}
	result, err := edit.Apply(file.Name, file.Text)
	if err != nil {
		return a.invalid(err)
	}
	c, err := candidateOf(result.Config, name)
	if err != nil {
		return err
	}
	sets, err := how.sets(c)
	if err != nil {
		return err
	}
	if result, err = edit.Apply(file.Name, file.Text, sets...); err != nil {
		if refusal, ok := errors.AsType[*edit.Refusal](err); ok {
			return cli.Fail(refusal.Hint, "%w", err)
		}
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	doc := stored{Name: name, File: how.file, Changes: []config.Difference{}, DryRun: how.dry}
	if len(result.Changes) > 0 {
		doc.Changes = result.Changes
		doc.Diff = string(diff.Diff(how.file, file.Text, how.file+" (new)", result.Text))
		if c, err = candidateOf(result.Config, name); err != nil {
			return err
		}
		doc.Announced = c.Announced
		if doc.Clients, err = replay.Predict(result.Config, result.Old, time.Now()); err != nil {
			a.warn("the clients that move are not known: %v", err)
		}
		if doc.Written = !how.dry; doc.Written {
			if err := file.Write(result.Text); err != nil {
				return cli.Fail(writeHint(err), "%w", err)
			}
		}
	}
	a.warnSet(result, doc.Clients, stepsHint(c, how.given("rollout")))
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	return a.writeStored(&doc, sets)
}

// writeHint says what to do about a file that cannot be written.
func writeHint(err error) string {
	switch {
	case errors.Is(err, edit.ErrChanged):
		return "look at the file, and run the command again"
	case errors.Is(err, edit.ErrNames):
		return "edit the file by hand, or make a copy that has one name: find -samefile lists the names"
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EBUSY):
		return "the file is mounted here, as a ConfigMap is: change it where it comes from, such as the values of the Helm chart"
	case errors.Is(err, fs.ErrPermission):
		return "run the command as the owner of the file and its directory, or as root"
	}
	return "the file is as it was"
}

func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.stderr, "warning: "+format+"\n", args...)
}

// A change is worth a warning when it moves most clients of this share of all places, and of this many.
const (
	manyMoved    = 0.1
	manyOfPlaces = 10
)

// warnSet warns of what the person may not have meant: many clients that move at once, and what the new config has
// warnings about that the old one had not. steps says how fewer clients move at once.
func (a *app) warnSet(r *edit.Result, m *replay.Moves, steps string) {
	for _, w := range r.Config.Warnings {
		if !slices.ContainsFunc(r.Old.Warnings, func(o *config.Error) bool { return o.Path == w.Path && o.Message == w.Message }) {
			a.warn("%v", w)
		}
	}
	if m == nil {
		return
	}
	if half := m.Half(); half >= manyOfPlaces && float64(half) > manyMoved*float64(m.Places) {
		a.warn("half of the client networks or more move at once at %d of %d places%s", half, m.Places, steps)
	}
}

// stepsHint says how to move fewer clients at once. given reports whether the change was one of the rollout.
func stepsHint(c candidate, given bool) string {
	switch {
	case c.Rollout == nil:
		return "" // upstreams have no rollout
	case given:
		return "; a --rollout nearer to the one before moves fewer"
	}
	return "; --rollout moves them in steps"
}

func (a *app) writeStored(doc *stored, sets []edit.Set) error {
	var b strings.Builder
	if len(doc.Changes) == 0 {
		for _, s := range sets {
			fmt.Fprintf(&b, "%s: %s is %s already\n", doc.Name, s.Key, s.Value)
		}
		_, err := fmt.Fprint(a.stdout, &b)
		return err
	}
	b.WriteString(doc.Diff + "\n")
	for _, c := range doc.Changes {
		fmt.Fprintf(&b, "%s: %s %s → %s\n", doc.Name, c.Key[strings.LastIndexByte(c.Key, '.')+1:], c.Was, c.Is)
	}
	if doc.Clients != nil {
		if err := writeMoves(&b, doc.Clients); err != nil {
			return err
		}
	}
	if doc.Announced != "" {
		fmt.Fprintf(&b, "%s is %s\n", doc.Name, doc.Announced)
	}
	if doc.DryRun {
		b.WriteString("Nothing is written: --dry-run.\n")
	} else {
		fmt.Fprintf(&b, "%s is written. A server that reads this file takes the change within 15 s.\n", doc.File)
	}
	_, err := fmt.Fprint(a.stdout, &b)
	return err
}
