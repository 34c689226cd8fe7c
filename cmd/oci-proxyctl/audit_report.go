package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/audit"
	"ociproxy/internal/cli"
)

// writeAudit writes a report for people.
func (a *app) writeAudit(r *audit.Report) error {
	w := a.stdout
	fmt.Fprintf(w, "The source has %s in %s, which need %s, %s.\n",
		cli.Count(int64(r.Source.Images), "image"), cli.Count(int64(r.Source.Repositories), "repository"), cli.Count(r.Source.Blobs, "blob"), size(r.Source.Bytes))
	if r.Source.Failed > 0 {
		fmt.Fprintf(w, "%s could not be read, so that nothing counts as unexpected:\n", cli.Count(int64(r.Source.Failed), "image or repository", "images or repositories"))
		for _, text := range r.Source.Errors {
			fmt.Fprintf(w, "  %s\n", cli.OneLine(text))
		}
	}
	if r.Source.Gone > 0 {
		fmt.Fprintf(w, "%s listed and gone, which is no failure:\n",
			cli.Count(int64(r.Source.Gone), "repository or tag is", "repositories or tags are"))
		shown := r.Source.Vanished[:min(len(r.Source.Vanished), shownProblems)]
		for _, v := range shown {
			fmt.Fprintf(w, "  %s\n", cli.OneLine(strings.TrimSpace(v.Repository+" "+v.Reference)))
		}
		if more := r.Source.Gone - len(shown); more > 0 {
			fmt.Fprintf(w, "  and %s more: --output json has them\n", humanize.Comma(int64(more)))
		}
	}
	if r.Source.Wrong > 0 {
		fmt.Fprintf(w, "%s stated wrong; clients refuse these images, and only new manifests help:\n",
			cli.Count(int64(r.Source.Wrong), "size is", "sizes are"))
		for _, m := range r.Source.Misstated {
			is := fmt.Sprintf("it has %d", m.Is)
			if m.Is < 0 {
				is = "others state another size"
			}
			fmt.Fprintf(w, "  %s@%s states %s of %s; %s\n", m.Repository, m.Image, cli.Count(m.States, "byte"), m.Digest, is)
		}
		if more := r.Source.Wrong - len(r.Source.Misstated); more > 0 {
			fmt.Fprintf(w, "  and %s more: --limit 0 shows all\n", humanize.Comma(int64(more)))
		}
	}
	fmt.Fprintln(w)
	shown := classesFound(r)
	t := cli.Table{Header: []string{"STORE", "IMAGES WHOLE", "HOLDS"}}
	asked := r.Deep || r.From == audit.Head || r.Spot > 0
	if asked {
		t.Header = append(t.Header, "LOOKED AT")
	}
	for _, c := range shown {
		t.Header = append(t.Header, upper(c))
	}
	for _, s := range r.Stores {
		cells := []string{s.Name, fmt.Sprintf("%s of %s", humanize.Comma(int64(s.Whole)), humanize.Comma(int64(r.Source.Images))),
			fmt.Sprintf("%s, %s", cli.Count(s.Held.Blobs, "blob"), size(s.Held.Bytes))}
		if asked {
			cells = append(cells, fmt.Sprintf("%s, %s read", humanize.Comma(s.Asked), size(s.Read.Bytes)))
		}
		for _, c := range shown {
			cells = append(cells, humanize.Comma(s.Found[c].Blobs))
		}
		t.Row(cells...)
	}
	if _, err := t.WriteTo(w); err != nil {
		return err
	}
	for _, s := range r.Stores {
		if s.Error != "" {
			fmt.Fprintf(w, "%s could not be looked at to the end: %s\n", s.Name, aboutStore(s.Name, s.Error))
		}
	}
	if err := a.writeFindings(w, r); err != nil {
		return err
	}
	writeRepair(w, r.Repair)
	_, err := fmt.Fprintf(w, "\n%s\n", auditVerdict(r))
	return err
}

// classesFound returns the classes that have findings.
func classesFound(r *audit.Report) (out []audit.Class) {
	for _, c := range audit.Classes() {
		for _, s := range r.Stores {
			if s.Found[c].Blobs > 0 {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

func (a *app) writeFindings(w io.Writer, r *audit.Report) error {
	if len(r.Findings) == 0 {
		return nil
	}
	t := cli.Table{Header: []string{"CLASS", "STORE", "BLOB", "SIZE", "IMAGE", "DETAIL"}, Color: cli.UseColor(a.stdout, a.env),
		Paint: func(cell string) cli.Color {
			switch audit.Class(cell) {
			case audit.Unlisted, audit.Unexpected, audit.Unknown:
				return cli.Yellow
			default:
				return cli.Red
			}
		}}
	for _, f := range r.Findings {
		blob, bytes := f.Digest, "-"
		if blob == "" {
			blob = f.Key
		}
		if f.Size != nil {
			bytes = size(*f.Size)
		}
		detail := f.Detail
		if f.Repaired {
			detail += " (repaired)"
		}
		images := imagesOf(f)
		t.Row(string(f.Class), f.Store, blob, bytes, images[0], detail)
		for _, image := range images[1:] {
			t.Row("", "", "", "", image)
		}
	}
	fmt.Fprintln(w)
	if _, err := t.WriteTo(w); err != nil {
		return err
	}
	if r.Omitted > 0 {
		fmt.Fprintf(w, "and %s more: --limit 0 shows all\n", humanize.Comma(r.Omitted))
	}
	return nil
}

// shownImages is how many of the images that a finding affects are shown to a person.
const shownImages = 3

// imagesOf returns the first images that a finding affects, and how many more there are.
func imagesOf(f audit.Finding) (lines []string) {
	for _, i := range f.Images[:min(len(f.Images), shownImages)] {
		lines = append(lines, i.Repository+"@"+i.Image)
	}
	switch more := len(f.Images) - len(lines); {
	case len(lines) == 0:
		lines = []string{"-"}
	case more > 0:
		lines = append(lines, fmt.Sprintf("and %s more: --output json has them", humanize.Comma(int64(more))))
	}
	return lines
}

func writeRepair(w io.Writer, r *audit.RepairReport) {
	if r == nil {
		return
	}
	fmt.Fprintln(w)
	if r.DryRun {
		fmt.Fprintf(w, "A repair would fix %s, %s.\n", cli.Count(r.Planned.Blobs, "blob"), size(r.Planned.Bytes))
		return
	}
	fmt.Fprintf(w, "Repaired %s of %s; wrote %s, %s.\n", humanize.Comma(r.Repaired.Blobs), cli.Count(r.Planned.Blobs, "blob"),
		cli.Count(r.Written.Blobs, "object"), size(r.Written.Bytes))
	for _, text := range r.Errors {
		fmt.Fprintf(w, "  %s\n", cli.OneLine(text))
	}
}

// auditVerdict returns the last line: what the exit code means.
func auditVerdict(r *audit.Report) string {
	looked := "by the inventories"
	switch {
	case r.Spot > 0:
		looked += " and a look at some blobs"
	case r.Deep && r.Sample < 100:
		looked = fmt.Sprintf("and %g%% of them were read and hashed", r.Sample)
	case r.Deep:
		looked = "and all were read and hashed"
	case r.From == audit.Head && r.Sample < 100:
		looked = fmt.Sprintf("by asking for %g%% of them", r.Sample)
	case r.From == audit.Head:
		looked = "by asking for each"
	case r.From == audit.Listing:
		looked = "by the buckets' listings"
	}
	const harmful = audit.CodeMissing | audit.CodeShort | audit.CodeCorrupt | audit.CodeUnreadable
	switch code := r.ExitCode; {
	case code == 0 && r.Repair != nil && r.Repair.Repaired.Blobs > 0:
		return "Everything that was wrong is repaired."
	case code == 0:
		return "Every blob of every image is in every store, " + looked + "."
	case code&harmful != 0:
		return fmt.Sprintf("Something is wrong (exit code %d).", code)
	case code&audit.CodeUnknown != 0:
		return fmt.Sprintf("Not everything could be looked at (exit code %d).", code)
	}
	return fmt.Sprintf("Every blob of every image is in every store, %s; there is more than that (exit code %d).", looked, r.ExitCode)
}

func upper(c audit.Class) string {
	b := []byte(c)
	for i := range b {
		b[i] -= 'a' - 'A'
	}
	return string(b)
}

// watch shows the progress of an audit until stop is called, once or twice. On a terminal it rewrites one line;
// elsewhere it writes a line every ten seconds.
func (a *app) watch(p *audit.Progress) (stop func()) {
	period, begin, end, cleared := 10*time.Second, "", "\n", ""
	if cli.IsTerminal(a.stderr) {
		period, begin, end, cleared = 200*time.Millisecond, "\r\x1b[K", "", "\r\x1b[K"
	}
	last := ""
	show := func() {
		line := fmt.Sprintf("%s walked, %s compared, %s looked at, %s read, %s found, %s repaired",
			cli.Count(p.Images.Load(), "image"), cli.Count(p.Compared.Load(), "blob"), humanize.Comma(p.Asked.Load()),
			size(p.ReadBytes.Load()), humanize.Comma(p.Found.Load()), humanize.Comma(p.Repaired.Load()))
		if failed := p.Failed.Load(); failed > 0 {
			line += fmt.Sprintf(", %s could not be read", cli.Count(failed, "image or repository", "images or repositories"))
		}
		if line != last {
			fmt.Fprint(a.stderr, begin, line, end)
		}
		last = line
	}
	quit := every(period, show)
	return sync.OnceFunc(func() {
		quit()
		fmt.Fprint(a.stderr, cleared)
	})
}
