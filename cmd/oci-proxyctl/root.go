package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/outbound"
)

// app is one run of the program: what the commands share.
type app struct {
	env            func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	format         cli.Format // of output and errors; set by --output
	started        bool       // a command's own code ran: later errors are no usage errors
}

// codeDifferent is the exit code of a command that did its work and found differences or faults.
const codeDifferent = 4

// execute parses args and runs the command they name.
func (a *app) execute(ctx context.Context, args []string) error {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return nil
	case a.started && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return errors.New("interrupted")
	case a.started, cli.Code(err) == cli.CodeUsage:
		return err
	}
	hint := program + " --help shows what there is"
	if cmd, _, findErr := root.Find(args); findErr == nil && cmd != root {
		hint = fmt.Sprintf("%s --help shows what it takes", cmd.CommandPath())
	}
	return cli.Usage(hint, "%w", err)
}

func (a *app) root() *cobra.Command {
	root := group(&cobra.Command{
		Use:   program,
		Short: "Operate the stores of oci-proxy",
		Long: `oci-proxyctl is the tool of those who operate oci-proxy and its stores. It reads the same config
file as the server.`,
		Example: `  oci-proxyctl inventory ls https://bucket.example/inventory/
  oci-proxyctl inventory verify --config config.yaml --store s3-use1 --sample 20`,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			if a.started = true; cmd.Name() == "version" {
				return
			}
			for _, fault := range outbound.EnvironmentFaults() {
				fmt.Fprintf(a.stderr, "warning: %v\n", fault)
			}
		},
	}, a.inventory(), a.audit(), a.mirror(), a.promote(), a.purge(), a.version())
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetHelpTemplate(root.HelpTemplate() + cli.ExitsHelp)
	return root
}

// group is a command that only has commands below it: a name it does not know is an error, not a call for help.
func group(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(below...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := cmd.CommandPath() + " --help shows what there is"
		cmd.SuggestionsMinimumDistance = 2
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = "did you mean " + strings.Join(near, " or ") + "?"
		}
		return cli.Usage(hint, "unknown command %q for %q", args[0], cmd.CommandPath())
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// outputFlag adds --output to cmd.
func (a *app) outputFlag(cmd *cobra.Command) {
	cmd.Flags().VarP(&a.format, "output", "o", "`format`: text or json")
	// The name of a flag just defined is known: no error is possible.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(cli.Formats(), cobra.ShellCompDirectiveNoFileComp))
}

func (a *app) version() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return cli.ThisBuild(version).Write(a.stdout, program, a.format)
		},
	}
	a.outputFlag(cmd)
	cli.Exits(cmd)
	return cmd
}

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string
