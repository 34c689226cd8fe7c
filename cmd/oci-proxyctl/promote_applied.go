package main

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"ociproxy/internal/cli"
	"ociproxy/internal/promote/apply"
)

// applyTables shows what was written to each registry and store.
func applyTables(w io.Writer, r *apply.Report) error {
	if len(r.Hosts) > 0 {
		t := cli.Table{Header: []string{"REGISTRY", "TAGS", "MANIFESTS", "PUSHED", "BYTES", "MOUNTED", "REQUESTS", "FAULT"}}
		for _, h := range r.Hosts {
			t.Row(h.Name, humanize.Comma(h.Tags), humanize.Comma(h.Manifests), humanize.Comma(h.Pushed), size(h.Bytes), humanize.Comma(h.Mounted), humanize.Comma(h.Requests), h.Error)
		}
		if _, err := t.WriteTo(w); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if len(r.Stores) > 0 {
		t := cli.Table{Header: []string{"STORE", "BLOBS", "BYTES", "BEHIND", "FAULT"}}
		for _, s := range r.Stores {
			t.Row(s.Name, humanize.Comma(s.Blobs), size(s.Bytes), humanize.Comma(s.Behind), aboutStore(s.Name, s.Error))
		}
		if _, err := t.WriteTo(w); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return nil
}

// applyVerdict says in a sentence how the run ended. "Nothing to do" is not the same as "nothing was done".
func applyVerdict(r *apply.Report) string {
	took := (time.Duration(r.DurationMs) * time.Millisecond).Round(10 * time.Millisecond).String()
	there := ""
	if r.InPlace > 0 {
		there = fmt.Sprintf(", %s in place already", humanize.Comma(r.InPlace))
	}
	switch r.Result {
	case apply.Nothing:
		return fmt.Sprintf("Nothing to do: %s in place already.", cli.Count(r.InPlace, "promotion"))
	case apply.Failed:
		return fmt.Sprintf("Nothing was done: all of %s failed.", cli.Count(r.Failed, "promotion"))
	case apply.Partial:
		return fmt.Sprintf("Partly done after %s: %s%s; %s failed.", took, cli.Count(r.Done, "promotion"), there, humanize.Comma(r.Failed))
	case apply.Interrupted:
		return fmt.Sprintf("Interrupted after %s: %s of %s%s.", took, humanize.Comma(r.Done), cli.Count(r.Edges, "promotion"), there)
	case apply.Done:
	}
	return fmt.Sprintf("Done after %s: %s%s.", took, cli.Count(r.Done, "promotion"), there)
}

// watchApply shows a run's progress on stderr until stop is called: a bar on a terminal, else a line every few
// seconds.
func (a *app) watchApply(form string, run *apply.Run) (stop func()) {
	if form == "auto" {
		form = "plain"
		if cli.IsTerminal(a.stderr) && a.env("TERM") != "dumb" {
			form = "bars"
		}
	}
	switch form {
	case "none":
		return func() {}
	case "plain":
		m := new(meter)
		return every(plainEvery, func() { fmt.Fprintln(a.stderr, applyLine(run.Progress(), m)) })
	}
	m := new(meter)
	progress := mpb.New(mpb.WithOutput(a.stderr), mpb.WithWidth(40), mpb.WithRefreshRate(barsEvery), mpb.WithAutoRefresh())
	bar := progress.New(0, mpb.BarStyle(), mpb.PrependDecorators(decor.Name("images")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + applyLine(run.Progress(), m) })))
	end := every(barsEvery, func() {
		p := run.Progress()
		bar.SetTotal(p.Promotions+1, false) // a full bar would count as done
		bar.SetCurrent(p.Finished)
	})
	return func() {
		end()
		bar.Abort(false)
		progress.Wait()
	}
}

// applyLine returns one line of progress.
func applyLine(p apply.Progress, m *meter) string {
	m.look(p.Elapsed, p.Uploaded)
	line := fmt.Sprintf("%s: %s of %s done, %s copied, %s settling, %s read, %s written, %s/s", p.Elapsed.Round(time.Second),
		humanize.Comma(p.Finished), cli.Count(p.Promotions, "image"), humanize.Comma(p.Copied), humanize.Comma(p.Settling), size(p.Read), size(p.Uploaded), size(int64(m.speed)))
	if p.Failures > 0 {
		line += "; " + cli.Count(p.Failures, "failure")
	}
	return line
}
