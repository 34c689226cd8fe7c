package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes of both programs. docs/exit-codes.md says what they mean; they are stable: scripts depend on them.
// A command that tells several findings apart adds up [Sum.Classes] instead.
const (
	CodeOK        = 0
	CodeFailure   = 1 // something failed on the way, the answer is no, or it was interrupted
	CodeUsage     = 2 // unknown command or flag, missing or malformed argument
	CodeInvalid   = 3 // the config, or the manifests, are invalid
	CodeDifferent = 4 // done, and there is something to report: differences, faults
	CodePartial   = 5 // some of it failed, the rest is done
)

// ExitsPage is the page that has the scheme, as help texts name it.
const ExitsPage = "docs/exit-codes.md"

// ExitCode is an exit code, or a part of one, and what it means, as a command's help tells it.
type ExitCode struct {
	Code  int    `json:"code"`
	Means string `json:"means"`
}

// Invalid is the exit of commands that read a config.
var Invalid = ExitCode{CodeInvalid, "the config is invalid"}

// Sum is how a command that finds several things at once adds up its exit code.
type Sum struct {
	Classes []ExitCode `json:"classes"` // one bit each
	// Ends are bits of which each sum has exactly one, beside those of classes. Without them a sum is of classes only.
	Ends []ExitCode `json:"ends,omitempty"`
	// Note is what else there is to say, such as what does not count; "": nothing.
	Note string `json:"note,omitempty"`
}

// Declared is what a command says of its exit codes.
type Declared struct {
	Codes []ExitCode `json:"codes"` // in order
	Sum   *Sum       `json:"sum,omitempty"`
}

// ExitsHelp is to be put behind the help template of a root command: the exit codes of the command that is asked about,
// of that one only.
const ExitsHelp = `{{with .Annotations.exits}}
{{.}}
{{end}}`

// Exits puts the exit codes of cmd into its help: those that all commands have, and codes, which may say of these what they
// mean here.
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
		// The sum says what 1 means.
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
		panic(err) // numbers and texts
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

// ExitsOf is what cmd declared, and whether it did.
func ExitsOf(cmd *cobra.Command) (d Declared, ok bool) {
	text := cmd.Annotations["exits.json"]
	return d, text != "" && json.Unmarshal([]byte(text), &d) == nil
}

// ExitFaults returns what is wrong with the exit codes that the commands of root declare: a command that declares none, a
// group of commands that does, and whatever is not of the scheme. Tests of both programs want it to be empty.
func ExitFaults(root *cobra.Command) (faults []string) {
	for _, below := range root.Commands() {
		faults = append(faults, ExitFaults(below)...)
	}
	d, ok := ExitsOf(root)
	if ok == root.HasSubCommands() {
		return append(faults, root.CommandPath()+": a command must tell its exit codes, and a group has none")
	}
	for _, text := range d.faults() {
		faults = append(faults, root.CommandPath()+": "+text)
	}
	return faults
}

func (d *Declared) faults() (out []string) {
	for _, e := range d.Codes {
		if e.Code < CodeOK || e.Code > CodePartial {
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
		// 1, 4 and 5 mean in a sum what they mean alone; 2 and 3 are no findings, and 6 and 7 have the bit of 2.
		if sum < 8 && sum&2 != 0 {
			out = append(out, fmt.Sprintf("the sum %d has the bit of wrong usage", sum))
		}
	}
	return out
}

// sums are all codes that a sum can be.
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
