package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Group makes cmd a command that only has the commands below it. An unknown name is an error, not a call for help.
func Group(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
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
		return Usage(hint, "unknown command %q for %q", args[0], cmd.CommandPath())
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// Root makes cmd the root of a program, with the commands below it, --version, and help that lists exit codes.
func Root(cmd *cobra.Command, build Build, below ...*cobra.Command) *cobra.Command {
	Group(cmd, below...)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetHelpTemplate(cmd.HelpTemplate() + ExitsHelp + helpEnd)
	VersionFlag(cmd, build)
	cmd.InitDefaultHelpCmd()
	cmd.InitDefaultCompletionCmd()
	for _, own := range cmd.Commands() { // cobra's own commands follow the same rules
		switch own.Name() {
		case "help":
			own.Args = known
			Exits(own)
		case "completion":
			Group(own)
			for _, shell := range own.Commands() {
				Exits(shell)
			}
		}
	}
	return cmd
}

// known returns an error for words that name no command.
func known(cmd *cobra.Command, words []string) error {
	named, rest, err := cmd.Root().Find(words)
	switch {
	case err != nil:
		return err
	case len(rest) > 0 && named.HasSubCommands():
		return named.Args(named, rest)
	}
	return nil
}

// helpEnd is printed below the help of the program itself.
const helpEnd = `{{if not .HasParent}}
` + ExitsPage + ` explains the exit codes; the help of each command lists its own.
{{end}}`

// Execute parses args and runs the command of root that they name. Every failure before the command's own code runs
// counts as wrong usage. A command that ends because ctx ended was interrupted.
func Execute(ctx context.Context, root *cobra.Command, args []string) error {
	started := false
	before := root.PersistentPreRun
	root.PersistentPreRun = func(cmd *cobra.Command, args []string) {
		if started = true; before != nil {
			before(cmd, args)
		}
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return nil
	case started && interrupted(ctx, err):
		return Interrupted()
	case started, Code(err) == CodeUsage:
		return err
	}
	hint := root.Name() + " --help shows what there is"
	if cmd, _, findErr := root.Find(args); findErr == nil && cmd != root {
		hint = fmt.Sprintf("%s --help shows what it takes", cmd.CommandPath())
	}
	return Usage(hint, "%w", err)
}

// VersionCommand returns the command that prints build.
func VersionCommand(build Build, format *Format) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return build.Write(cmd.OutOrStdout(), cmd.Root().Name(), *format)
		},
	}
	OutputFlag(cmd, format)
	Exits(cmd)
	return cmd
}
