package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
)

// app is one run of the program: what the commands share.
type app struct {
	env            func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	format         cli.Format // of output and errors; set by --output
	started        bool       // a command's own code ran: later errors are no usage errors
}

// execute parses args and runs the command they name.
func (a *app) execute(ctx context.Context, args []string) error {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil || a.started {
		return err
	}
	hint := "oci-proxy --help shows what there is"
	if cmd, _, findErr := root.Find(args); findErr == nil && cmd != root {
		hint = fmt.Sprintf("%s --help shows what it takes", cmd.CommandPath())
	} else if near := root.SuggestionsFor(firstWord(args)); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return cli.Usage(hint, "%w", err)
}

func firstWord(args []string) string {
	for _, s := range args {
		if !strings.HasPrefix(s, "-") {
			return s
		}
	}
	return ""
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "oci-proxy",
		Short: "Send container pulls to the nearest, cheapest, healthy copy of each layer",
		Long: `oci-proxy stands behind a registry's name. It looks at who pulls, works out their cloud and
region, and redirects them to the nearest, cheapest, healthy copy of each layer. It stores
nothing and moves no layer bytes itself.`,
		Example: `  oci-proxy check config.yaml                             # is the config right?
  oci-proxy explain --config config.yaml --ip 192.0.2.7   # why would this client go there?
  oci-proxy serve --config config.yaml`,
		SilenceErrors: true, SilenceUsage: true, DisableSuggestions: true,
		SuggestionsMinimumDistance: 2,
		PersistentPreRun:           func(*cobra.Command, []string) { a.started = true },
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetHelpTemplate(root.HelpTemplate() + cli.ExitsHelp)
	root.AddCommand(a.serve(), a.check(), a.explain(), a.schema(), a.version())
	return root
}

// outputFlag adds --output to cmd.
func (a *app) outputFlag(cmd *cobra.Command) {
	cmd.Flags().VarP(&a.format, "output", "o", "`format`: text or json")
	// The name of a flag just defined is known: no error is possible.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(cli.Formats(), cobra.ShellCompDirectiveNoFileComp))
}

// configFlag adds --config, which defaults to $OCI_PROXY_CONFIG.
func (a *app) configFlag(cmd *cobra.Command, file *string) {
	def := a.env("OCI_PROXY_CONFIG")
	if def == "" {
		def = "/etc/oci-proxy/config.yaml"
	}
	cmd.Flags().StringVarP(file, "config", "c", def, "config `file`; OCI_PROXY_CONFIG in the environment names another default")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}
