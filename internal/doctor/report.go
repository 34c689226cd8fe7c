package doctor

import (
	"io"
	"math"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
)

// Report is what the doctor says.
type Report struct {
	Registry string `json:"registry"`
	Image    string `json:"image,omitempty"`
	// Finding is the most important one, and Also has the others.
	Finding
	Also     []Finding `json:"also,omitempty"`
	ExitCode int       `json:"exitCode"`
	Listed   bool      `json:"listed"` // the registry publishes a list of hosts
	Tried    []*Try    `json:"tried"`
	Bytes    int64     `json:"bytes"` // read
	Seconds  float64   `json:"seconds"`
}

func (d *doctor) report(took time.Duration) *Report {
	found := diagnose(d.facts)
	r := &Report{
		Registry: d.target.Registry, Finding: found[0], Also: found[1:], Listed: d.facts.Listed,
		Bytes: d.bytes.Load(), Seconds: math.Round(took.Seconds()*10) / 10,
	}
	if d.target.Image.Name != "" {
		r.Image = d.target.Image.String()
	}
	r.ExitCode = map[Side]int{Nobody: cli.CodeOK, Network: cli.CodeFailure, User: cli.CodeDifferent, Owner: cli.CodeDifferent}[r.Side]
	for _, h := range d.facts.Hosts {
		if h.Via != nil {
			r.Tried = append(r.Tried, h.Via)
		}
		for _, t := range []*Try{h.V4, h.V6} {
			if t != nil {
				r.Tried = append(r.Tried, t)
			}
		}
	}
	r.Tried = append(r.Tried, d.facts.Reads...)
	return r
}

// Write prints the report: the sentence, the table of what was tried, and what else was found.
func (r *Report) Write(w io.Writer, format cli.Format, color bool) error {
	if format == cli.JSON {
		return cli.WriteJSON(w, r)
	}
	if _, err := io.WriteString(w, r.Sentence+"\n\n"); err != nil {
		return err
	}
	table := cli.Table{Header: []string{"RESULT", "HOST", "WHAT", "DETAIL"}, Color: color, Paint: judge.Paint}
	for _, t := range r.Tried {
		table.Row(string(t.Result), t.Host, t.What, t.Detail)
	}
	if _, err := table.WriteTo(w); err != nil {
		return err
	}
	also := slices.DeleteFunc(slices.Clone(r.Also), func(f Finding) bool { return f.Kind == "well" })
	text := ""
	for _, f := range also {
		text += "Also: " + f.Sentence + "\n"
	}
	if text != "" {
		text = "\n" + text
	}
	_, err := io.WriteString(w, text+"\nRead "+humanize.IBytes(uint64(max(0, r.Bytes)))+" in "+humanize.Ftoa(r.Seconds)+" s.\n")
	return err
}
