package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
	"ociproxy/internal/promote/prove"
)

// writeProof shows the findings of promote verify to people.
func (a *app) writeProof(r *prove.Report, config string) error {
	w := a.stdout
	color := cli.UseColor(w, a.env)
	for i := range r.Findings {
		f := &r.Findings[i]
		tone := cli.Red
		if f.Class == prove.Unexpected {
			tone = cli.Yellow
		}
		where := f.Subject()
		if f.Store != "" && f.Repository != "" {
			where = f.Store + ": " + where
		}
		fmt.Fprintf(w, "%s %s: %s\n", tone.In(string(f.Class)+":", color), where, aboutStore(f.Store, f.Detail))
		if f.Place != "" && f.Repository != "" {
			fmt.Fprintf(w, "    asked for in %s\n", f.Place)
		}
	}
	if r.Omitted > 0 {
		fmt.Fprintf(w, "and %s more: --limit 0 shows all\n", humanize.Comma(r.Omitted))
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(w)
	}
	for _, name := range r.Unlisted {
		fmt.Fprintf(w, "%s does not list its repositories: unexpected ones are not known.\n", name)
	}
	fmt.Fprintf(w, "Looked at %s and %s in %s", cli.Count(r.Digests, "digest"), cli.Count(r.Tags, "tag"), cli.Count(r.Repositories, "repository"))
	if len(r.Stores) > 0 {
		fmt.Fprintf(w, ", and at %s", cli.Count(int64(len(r.Stores)), "store"))
	}
	var asked int64
	for _, n := range r.Asked {
		asked += n
	}
	fmt.Fprintf(w, ": %s in %s.\n", cli.Count(asked, "request"), (time.Duration(r.DurationMs) * time.Millisecond).String())
	if r.BlobsRead > 0 {
		fmt.Fprintf(w, "Read %s, %s.\n", cli.Count(r.BlobsRead, "blob"), size(r.BytesRead))
	}
	if r.Lost > 0 {
		fmt.Fprintf(w, "%s known to be lost are not missed.\n", cli.Count(r.Lost, "digest"))
	}
	if len(r.Unjudged) > 0 {
		fmt.Fprintf(w, "Not judged, for one of their two files is missing: %s.\n", someOf(r.Unjudged))
	}
	writeIdle(r.Idle, w)
	if r.Found[prove.Unstored] > 0 {
		fmt.Fprintf(w, "To copy what stores do not have, run: %s\n", mirrorCommand(config))
	}
	fmt.Fprintln(w, proofVerdict(r))
	return heldVerdict(r.Held, w)
}

func proofVerdict(r *prove.Report) string {
	if r.Clean() {
		return "Production is what the manifests say."
	}
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(r.Found)) {
		parts = append(parts, fmt.Sprintf("%s %s", humanize.Comma(r.Found[c]), c))
	}
	return "Found: " + strings.Join(parts, ", ") + "."
}
