package show

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/cli"
	"ociproxy/internal/probe/against"
)

// maxShown is how many differences a comparison shows. JSON has more.
const maxShown = 100

// Against writes a comparison for people.
func Against(w io.Writer, r *against.Report) error {
	out := &printer{w: w}
	out.line("%s against %s: %s", r.Here, r.There, extent(r))
	out.line("")
	counts := cli.Table{Header: []string{"DIFFERENCE", "FOUND"}}
	for _, k := range against.Kinds() {
		if r.Counts[k] > 0 {
			counts.List(string(k), humanize.Comma(r.Counts[k]))
		}
	}
	if counts.Len() > 0 {
		out.table(&counts)
		out.line("")
		list := cli.Table{Header: []string{"DIFFERENCE", "WHAT", "HERE", "THERE"}}
		for _, d := range r.Differences[:min(len(r.Differences), maxShown)] {
			list.Row(string(d.Kind), subject(d), d.Here, d.There)
		}
		out.table(&list)
		if n := r.Found() - maxShown; n > 0 {
			out.line("and %s; --output json has the first %s.", cli.Count(n, "more difference"), humanize.Comma(int64(len(r.Differences))))
		}
		out.line("")
	}
	out.failures(r, cli.OneLine)
	out.line("%s, %s, %s.", cli.Count(r.Cost.Requests, "request"), judge.Size(r.Cost.Bytes), seconds(r.Cost.Seconds))
	out.line("%s", outcome(r))
	return out.err
}

// AgainstMarkdown writes a comparison as a comment for a pull request.
func AgainstMarkdown(w io.Writer, r *against.Report) error {
	out := &printer{w: w}
	out.line("### %s against %s", cell(r.Here), cell(r.There))
	out.line("")
	out.line("%s %s.", cell(outcome(r)), cell(extent(r)))
	if len(r.Differences) > 0 {
		out.fold("Differences")
		out.line("| difference | what | here | there |")
		out.line("|---|---|---|---|")
		for _, d := range r.Differences[:min(len(r.Differences), maxShown)] {
			out.line("| `%s` | %s | %s | %s |", d.Kind, cell(clip(subject(d))), cell(clip(d.Here)), cell(clip(d.There)))
		}
		out.unfold()
	}
	if r.Failed > 0 || r.Cut {
		out.line("")
		out.failures(r, cell)
	}
	return out.err
}

func (p *printer) failures(r *against.Report, show func(string) string) {
	for _, f := range r.Failures {
		p.line("not compared: %s: %s", show(f.Repository+" "+f.Reference), show(f.Error))
	}
	if n := r.Failed - int64(len(r.Failures)); n > 0 {
		p.line("and %s", cli.Count(n, "other failure"))
	}
	if r.Cut {
		p.line("The bounds of the run were reached (%s, %s, %s): the rest was not compared.", cli.Count(r.Limits.Requests, "request"),
			judge.Size(r.Limits.Bytes), time.Duration(r.Limits.Seconds)*time.Second)
	}
}

func subject(d against.Difference) string {
	switch {
	case d.Repository == "":
		return d.Reference
	case d.Reference == "":
		return d.Repository
	case len(d.Reference) > 8 && d.Reference[:7] == "sha256:":
		return d.Repository + "@" + d.Reference
	}
	return d.Repository + ":" + d.Reference
}

func extent(r *against.Report) string {
	return fmt.Sprintf("%s, %s (%s followed), %s, %s", cli.Count(r.Repositories, "repository", "repositories"), cli.Count(r.Tags, "tag"),
		humanize.Comma(r.Compared), cli.Count(r.Manifests, "manifest"), cli.Count(r.Blobs, "blob"))
}

func outcome(r *against.Report) string {
	switch n := r.Found(); {
	case n > 0:
		return cli.Count(n, "difference") + "."
	case r.Compared == 0 && r.Failed > 0:
		return "Nothing could be compared."
	case r.Failed > 0 || r.Cut:
		return "No difference in what could be compared."
	}
	return "No difference."
}
