package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
)

func (a *app) configStatus() *cobra.Command {
	var at published
	var prom prometheusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the rings use, which overrides hold, and which instances follow",
		Long: `status shows each ring with its generation, its config, who published it and why, and how long ago
it was signed; the overrides and when they end; and the documents that cannot be believed.

With --prometheus it also shows the instances of this deployment: how many of each ring had a sample
in the last five minutes (--seen-within), and which of them do not use the newest generation.

Something needs a person when nothing is published, when a document cannot be believed or was not
signed for 5 days, when an override ends within 30 minutes, or when an instance is behind. Then the
exit code is 4.

An override that has ended is listed for another hour, and needs no person: its store or upstream
comes back in steps if its probes are good.`,
		Example: `  oci-proxyctl config status
  oci-proxyctl config status --prometheus http://prometheus:9090 --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runConfigStatus(cmd.Context(), &at, &prom) },
	}
	at.flags(cmd)
	prom.flags(cmd)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeDifferent, Means: "something needs a person, as the lines that begin with ! say"})
	return cmd
}

// statusDoc is the JSON document of config status. Only add fields; never remove one.
type statusDoc struct {
	Deployment string         `json:"deployment"`
	Rings      []ringStatus   `json:"rings"`
	Overrides  []heldOverride `json:"overrides"`
	Keys       keySet         `json:"keys"`
	Instances  []instance     `json:"instances,omitempty"` // absent without --prometheus
	Attention  []string       `json:"attention"`           // what needs a person
}

// ringStatus is a ring in statusDoc. Only add fields; never remove one.
type ringStatus struct {
	*publication.Head
	Age       int64 `json:"ageSeconds"` // since it was signed
	Instances int   `json:"instances"`
	Behind    int   `json:"behind"` // of the instances
}

func (a *app) runConfigStatus(ctx context.Context, at *published, prom *prometheusFlags) error {
	client, err := prom.open(a)
	if err != nil {
		return err
	}
	site, err := at.open(ctx, a)
	if err != nil {
		return err
	}
	state, err := readSite(ctx, site)
	if err != nil {
		return err
	}
	doc := statusOf(site.Trust.Deployment, state, time.Now())
	if client != nil {
		if doc.Instances, err = instances(ctx, client, doc.Deployment, prom.seen); err != nil {
			return cli.Fail("leave out --prometheus to see the rest", "%w", err)
		}
		doc.count(state)
	}
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, doc)
	} else {
		err = a.writeStatus(doc, client != nil)
	}
	if err == nil && len(doc.Attention) > 0 {
		err = cli.Exit(cli.CodeDifferent)
	}
	return err
}

// statusOf says what is published, and what of it needs a person.
func statusOf(deployment string, state *publish.State, now time.Time) *statusDoc {
	doc := &statusDoc{
		Deployment: deployment, Rings: []ringStatus{}, Overrides: heldOverrides(state.Overrides, now), Keys: keySetOf(state.Keys), Attention: []string{},
	}
	note := func(format string, args ...any) { doc.Attention = append(doc.Attention, fmt.Sprintf(format, args...)) }
	nothing := len(state.Heads) == 0
	for _, name := range slices.Sorted(maps.Keys(state.Faults)) {
		note("%v", state.Faults[name])
		nothing = nothing && !strings.HasPrefix(name, publication.RingsPrefix)
	}
	if nothing {
		note("nothing is published: publish a first config with config publish FILE --ring RING")
	}
	signed := func(name string, m *publication.Meta) {
		if age := now.Sub(m.SignedAt); age > old {
			note("%s was signed %s ago: config refresh; instances that start refuse it after 7 days", name, days(age))
		}
	}
	for _, ring := range state.Rings() {
		h := state.Heads[ring]
		doc.Rings = append(doc.Rings, ringStatus{Head: h, Age: int64(now.Sub(h.SignedAt) / time.Second)})
		signed(publication.HeadName(ring), &h.Meta)
	}
	if state.Keys == nil {
		note("there is no set of keys: the root key signs configs, and nobody can publish overrides (config keys add)")
	} else {
		signed(publication.KeysName, &state.Keys.Meta)
	}
	if state.Overrides != nil {
		signed(publication.OverridesName, &state.Overrides.Meta)
	}
	for i := range doc.Overrides {
		if o := &doc.Overrides[i]; o.Soon {
			note("override %s ends in %s: publish a config that says the same, or run the command again", o.ID, o.Until.Sub(now).Round(time.Minute))
		}
	}
	return doc
}

// count counts the instances of each ring.
func (d *statusDoc) count(state *publish.State) {
	at := map[string]*ringStatus{}
	for i := range d.Rings {
		at[d.Rings[i].Ring] = &d.Rings[i]
	}
	for _, one := range d.Instances {
		r := at[one.Ring]
		switch {
		case r == nil:
			d.Attention = append(d.Attention, fmt.Sprintf("instance %s is of the ring %s, which has no publication", one.Name, one.Ring))
			continue
		}
		if r.Instances++; one.Generation == 0 {
			r.Behind++
			d.Attention = append(d.Attention, fmt.Sprintf("instance %s of the ring %s runs on its fallback file: it has not read a config from the publication yet", one.Name, one.Ring))
		} else if one.Generation < state.Heads[one.Ring].Generation {
			r.Behind++
			d.Attention = append(d.Attention, fmt.Sprintf("instance %s of the ring %s has generation %d, not %d", one.Name, one.Ring, one.Generation, r.Generation))
		}
	}
	if len(d.Instances) == 0 {
		d.Attention = append(d.Attention, fmt.Sprintf("Prometheus knows no instance of the deployment %s: look at its targets and at --deployment of the instances", d.Deployment))
	}
}

// shownPrevious is how many earlier publications of each ring are listed.
const shownPrevious = 5

func (a *app) writeStatus(doc *statusDoc, counted bool) error {
	now := time.Now()
	t := cli.Table{Header: []string{"RING", "GENERATION", "CONFIG", "SIGNED", "INSTANCES", "PUBLISHED", "BY", "WHY"}}
	for _, r := range doc.Rings {
		count := "-"
		if counted {
			count = fmt.Sprintf("%d of %d", r.Instances-r.Behind, r.Instances)
		}
		t.Row(r.Ring, fmt.Sprint(r.Generation), short(r.SHA256), days(now.Sub(r.SignedAt))+" ago", count, r.PublishedAt.Format("2006-01-02 15:04"), cmp.Or(r.By, "-"), cmp.Or(r.Why, "-"))
		for _, e := range r.Previous[:min(len(r.Previous), shownPrevious)] {
			what := "before"
			if e.Undone {
				what = "taken back"
			}
			t.Row("  "+what, fmt.Sprint(e.Generation), short(e.SHA256), "", "", e.PublishedAt.Format("2006-01-02 15:04"), cmp.Or(e.By, "-"), cmp.Or(e.Why, "-"))
		}
	}
	if len(doc.Rings) > 0 {
		if _, err := t.WriteTo(a.stdout); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout)
	}
	if err := a.writeOverrides(doc.Overrides, now); err != nil {
		return err
	}
	for _, text := range doc.Attention {
		if _, err := fmt.Fprintf(a.stdout, "! %s\n", cli.OneLine(text)); err != nil {
			return err
		}
	}
	return nil
}
