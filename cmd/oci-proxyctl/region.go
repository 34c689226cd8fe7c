package main

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/region"
)

func (a *app) region() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "region",
		Short: "Bring a store into a region, and take one out again, step by step",
		Long: `region walks a store into a region, and out of it again. It looks at what is there: the config, the
bucket, its inventory, the record of store admit, and what the rings have. So it knows which steps
are done, and names the command of each other one. It keeps no notes of its own: run it again at any
time, on any machine.

docs/adding-a-region.md and docs/adding-a-cloud.md are the walks, with all that the commands print.`,
		Example: `  oci-proxyctl region add aws/eu-south-2 --config config.yaml --dry-run
  oci-proxyctl region add aws/eu-south-2 --config config.yaml --confirm
  oci-proxyctl region remove s3-eus2 --config config.yaml --dry-run`,
	}, a.regionAdd(), a.regionRemove())
}

// regional holds the flags that both commands have.
type regional struct {
	file     string
	at       published
	gates    string
	prom     string
	why      string
	infra    string
	dry      bool
	confirm  bool
	run      bool
	percents []int
}

func (r *regional) flags(a *app, cmd *cobra.Command) {
	cli.ConfigFlag(cmd, &r.file, a.env)
	fl := cmd.Flags()
	r.at.flags(cmd)
	prometheusFlag(cmd, &r.prom)
	fl.StringVar(&r.gates, "gates", "", "`file` of gates")
	fl.StringVar(&r.why, "why", "", "`reason`, for the colleagues who read it later")
	fl.BoolVar(&r.run, "run", false, "with --confirm: also run the steps, one after the other, until one needs a person")
	dryRunFlag(cmd, &r.dry)
	confirmFlag(cmd, &r.confirm)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd,
		cli.ExitCode{Code: cli.CodeOK, Means: "it shows what is done and what comes next; with --run: all steps are done"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "the file cannot be changed, or a step failed"}, cli.Invalid,
		cli.ExitCode{Code: cli.CodePaused, Means: "with --run: the next step is for a person, or must wait"})
}

// check finds contradictions.
func (r *regional) check() error {
	switch {
	case r.file == "-":
		return cli.Usage("name the file with --config", "the command changes a file, and stdin is none")
	case r.dry && r.confirm:
		return cli.Usage("without --confirm nothing is written anyway", "--dry-run and --confirm contradict each other")
	case r.run && !r.confirm:
		return cli.Usage("look at the steps first, without --run", "--run needs --confirm")
	}
	for i, p := range r.percents {
		if p < 1 || p > 100 || i > 0 && p <= r.percents[i-1] || i == len(r.percents)-1 && p != 100 {
			return cli.Usage("for example --percents 1,5,25,50,100", "--percents: want growing percents that end with 100")
		}
	}
	return nil
}

// how returns what the commands need. write is what the command itself was called with.
func (r *regional) how(write []string, why string) region.How {
	args := slices.Clone(write)
	args = append(args, "--config", r.file)
	if r.infra != "" {
		args = append(args, "--infra", r.infra)
	}
	how := region.How{
		Write: append(args, "--confirm"), Gates: cmp.Or(r.gates, "gates.yaml"), Why: cmp.Or(strings.TrimSpace(r.why), why), Percents: r.percents,
	}
	for _, flag := range []struct{ name, value string }{{"--to", r.at.to}, {"--deployment", r.at.deployment}, {"--prometheus", r.prom}} {
		if flag.value != "" {
			how.Rollout = append(how.Rollout, flag.name, flag.value)
		}
	}
	for _, k := range r.at.trust {
		how.Rollout = append(how.Rollout, "--trust", k)
	}
	return how
}

// recordOf is the file in which the walk looks for the admission of a store: beside the config.
func recordOf(config, name string) string {
	return filepath.Join(filepath.Dir(config), name+".admission.json")
}
