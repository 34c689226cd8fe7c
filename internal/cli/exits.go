package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// ExitCode is an exit code and what it means, as a command's help tells it.
type ExitCode struct {
	Code  int
	Means string
}

// Invalid is the exit of commands that read a config.
var Invalid = ExitCode{CodeInvalid, "the config is invalid"}

// ExitsHelp is to be put behind the help template of a root command: the exit codes of the command that is asked about,
// of that one only.
const ExitsHelp = `{{with .Annotations.exits}}
{{.}}
{{end}}`

// Exits puts the exit codes of cmd into its help: those that all commands have, and codes, which may say of these what they
// mean here.
func Exits(cmd *cobra.Command, codes ...ExitCode) {
	all := []ExitCode{
		{CodeOK, "ok"}, {CodeFailure, "failure"},
		{CodeUsage, "usage: unknown command or flag, missing or malformed argument"},
	}
	for _, c := range codes {
		if i := slices.IndexFunc(all, func(e ExitCode) bool { return e.Code == c.Code }); i >= 0 {
			all[i] = c
		} else {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b ExitCode) int { return cmp.Compare(a.Code, b.Code) })
	lines := []string{"Exit codes:"}
	for _, e := range all {
		lines = append(lines, fmt.Sprintf("  %d  %s", e.Code, e.Means))
	}
	ExitsText(cmd, strings.Join(lines, "\n"))
}

// ExitsText does the same for a command whose codes are no list, such as sums.
func ExitsText(cmd *cobra.Command, text string) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations["exits"] = text
}

// Untold returns the commands of root whose help tells no exit codes, and groups of commands that do.
func Untold(root *cobra.Command) (paths []string) {
	for _, below := range root.Commands() {
		paths = append(paths, Untold(below)...)
	}
	if told := root.Annotations["exits"] != ""; told == root.HasSubCommands() {
		paths = append(paths, root.CommandPath())
	}
	return paths
}
