package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// These are the exit codes of both programs. docs/exit-codes.md explains them. They are stable, because scripts depend
// on them. A command that distinguishes several findings adds up [Sum.Classes] instead.
const (
	CodeOK        = 0
	CodeFailure   = 1 // a step failed, the answer is no, or the command was interrupted
	CodeUsage     = 2 // unknown command or flag, missing or malformed argument
	CodeInvalid   = 3 // the config, or the manifests, are invalid
	CodeDifferent = 4 // done, with something to report: differences, faults
	CodePartial   = 5 // part of it failed, the rest is done
)

// These are the other ends of a change that is widened step by step (`rollout`).
const (
	CodeUndone    = 10 // the change was taken back
	CodePaused    = 11 // a human has to let it go on
	CodeNoVerdict = 12 // it stopped without a verdict, and is neither widened nor taken back
	CodeFrozen    = 13 // the calendar allows no step now
	CodeHeld      = 14 // another run is at work
	CodeStuck     = 15 // the change must be taken back, and could not
)

// ExitsPage is the page that explains the scheme, in the spelling of help texts.
const ExitsPage = "docs/exit-codes.md"

// ExitCode is an exit code, or a part of one, with its meaning in the command's help.
type ExitCode struct {
	Code  int    `json:"code"`
	Means string `json:"means"`
}

// Invalid is the exit code of commands that read a config.
var Invalid = ExitCode{CodeInvalid, "the config is invalid"}

// Sum describes the exit code of a command that can find several things at once and adds them up.
type Sum struct {
	Classes []ExitCode `json:"classes"` // one bit each
	// Ends are bits of which each sum has exactly one, in addition to those of Classes. Without them, a sum has classes
	// only.
	Ends []ExitCode `json:"ends,omitempty"`
	// Note has further information, such as what does not count. "" means none.
	Note string `json:"note,omitempty"`
}

// Declared is what a command declares about its exit codes.
type Declared struct {
	Codes []ExitCode `json:"codes"` // in order
	Sum   *Sum       `json:"sum,omitempty"`
}

// ExitsHelp belongs at the end of the help template of a root command. It prints the exit codes of the command whose
// help is shown, and only of that one.
const ExitsHelp = `{{with .Annotations.exits}}
{{.}}
{{end}}`

// Exits puts the exit codes of cmd into its help: the codes that all commands have, and codes. codes may also explain
// what one of the common codes means for this command.
func Exits(cmd *cobra.Command, codes ...ExitCode) { declare(cmd, Declared{Codes: codes}) }

// ExitsSum does the same for a command whose other codes are sums.
func ExitsSum(cmd *cobra.Command, sum Sum, codes ...ExitCode) {
	declare(cmd, Declared{Codes: codes, Sum: &sum})
}

func declare(cmd *cobra.Command, d Declared) {
	all := []ExitCode{
		{CodeOK, "ok"}, {CodeFailure, "failure"},
		{CodeUsage, "usage: unknown command or flag, missing or malformed argument"},
	}
	for _, c := range d.Codes {
		if i := slices.IndexFunc(all, func(e ExitCode) bool { return e.Code == c.Code }); i >= 0 {
			all[i] = c
		} else {
			all = append(all, c)
		}
	}
	if d.Sum != nil && slices.ContainsFunc(d.Sum.Classes, func(e ExitCode) bool { return e.Code == CodeFailure }) && d.Sum.Ends == nil {
		// The sum explains what 1 means.
		all = slices.DeleteFunc(all, func(e ExitCode) bool { return e.Code == CodeFailure })
	}
	slices.SortFunc(all, func(a, b ExitCode) int { return cmp.Compare(a.Code, b.Code) })
	d.Codes = all
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations["exits"] = d.text()
	data, err := json.Marshal(d)
	if err != nil {
		panic(err) // numbers and texts always marshal
	}
	cmd.Annotations["exits.json"] = string(data)
}

func (d *Declared) text() string {
	lines := []string{"Exit codes:"}
	list := func(width int, codes []ExitCode) {
		for _, e := range codes {
			means := strings.ReplaceAll(e.Means, "\n", "\n"+strings.Repeat(" ", width+2))
			lines = append(lines, fmt.Sprintf("%*d  %s", width, e.Code, means))
		}
	}
	list(3, d.Codes)
	if s := d.Sum; s != nil {
		lines = append(lines, "Any other code is a sum of")
		list(5, s.Classes)
		if s.Ends != nil {
			lines = append(lines, "and one of")
			list(5, s.Ends)
		}
		if s.Note != "" {
			lines = append(lines, s.Note)
		}
	}
	return strings.Join(lines, "\n")
}

// ExitsOf returns what cmd declared, and whether it declared anything.
func ExitsOf(cmd *cobra.Command) (d Declared, ok bool) {
	text := cmd.Annotations["exits.json"]
	return d, text != "" && json.Unmarshal([]byte(text), &d) == nil
}

// ExitFaults returns the faults of the exit codes that the commands of root declare: a command that declares none, a
// group of commands that declares some, and codes outside the scheme. Tests of both programs require it to be empty.
func ExitFaults(root *cobra.Command) (faults []string) {
	for _, below := range root.Commands() {
		faults = append(faults, ExitFaults(below)...)
	}
	d, ok := ExitsOf(root)
	if ok == isGroup(root) {
		return append(faults, root.CommandPath()+": a command must tell its exit codes, and a group has none")
	}
	for _, text := range d.faults() {
		faults = append(faults, root.CommandPath()+": "+text)
	}
	return faults
}

// isGroup reports whether a command does nothing without one of the commands below it: it has no flags of its own.
func isGroup(cmd *cobra.Command) bool {
	own := false
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { own = own || f.Name != "help" && f.Name != "version" })
	return cmd.HasSubCommands() && !own
}

func (d *Declared) faults() (out []string) {
	for _, e := range d.Codes {
		if (e.Code < CodeOK || e.Code > CodePartial) && (e.Code < CodeUndone || e.Code > CodeStuck) {
			out = append(out, fmt.Sprintf("%d is no code of %s", e.Code, ExitsPage))
		}
	}
	if d.Sum == nil {
		return out
	}
	bits := 0
	for _, e := range slices.Concat(d.Sum.Classes, d.Sum.Ends) {
		if e.Code <= 0 || e.Code > 128 || e.Code&(e.Code-1) != 0 || bits&e.Code != 0 {
			out = append(out, fmt.Sprintf("%d is not one bit of its own", e.Code))
		}
		bits |= e.Code
	}
	for _, sum := range d.Sum.sums() {
		// 1, 4 and 5 mean the same in a sum as alone. 2 and 3 are not findings, and 6 and 7 have the bit of 2.
		if sum < 8 && sum&2 != 0 {
			out = append(out, fmt.Sprintf("the sum %d has the bit of wrong usage", sum))
		}
	}
	return out
}

// sums returns all possible codes of a sum.
func (s *Sum) sums() (out []int) {
	ends := []int{0}
	if s.Ends != nil {
		ends = nil
		for _, e := range s.Ends {
			ends = append(ends, e.Code)
		}
	}
	for set := 1; set < 1<<len(s.Classes); set++ {
		code := 0
		for i, e := range s.Classes {
			if set&(1<<i) != 0 {
				code |= e.Code
			}
		}
		for _, end := range ends {
			out = append(out, code|end)
		}
	}
	return out
}
