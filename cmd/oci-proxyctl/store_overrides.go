package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/publication"
)

// heldOverride is an override in lists. Only add fields; never remove one.
type heldOverride struct {
	publication.Override
	Ended bool `json:"ended,omitempty"`
	// Soon says that it ends within half an hour: publish a config that says the same, or extend it.
	Soon bool `json:"soon,omitempty"`
}

// soon is when an override's end is near.
const soon = 30 * time.Minute

// endedLongAgo reports whether o ended more than an hour ago. Until then it stays in the list, so that an instance that
// starts lets the candidate come back in steps, and a person sees what was.
func endedLongAgo(o *publication.Override, now time.Time) bool { return !o.Holds(now.Add(-time.Hour)) }

func heldOverrides(o *publication.Overrides, now time.Time) []heldOverride {
	out := []heldOverride{}
	if o == nil {
		return out
	}
	for _, one := range o.Overrides {
		if endedLongAgo(&one, now) {
			continue
		}
		h := heldOverride{Override: one, Ended: !one.Holds(now)}
		h.Soon = !h.Ended && !one.Until.IsZero() && one.Until.Sub(now) <= soon
		out = append(out, h)
	}
	return out
}

func (a *app) storeOverrides() *cobra.Command {
	var at published
	cmd := &cobra.Command{
		Use:   "overrides",
		Short: "List the overrides that hold or have just ended",
		Long: `overrides lists what store off, drain, pin and deny have published: who did it, why, and when it
ends. An override that has ended is listed for another hour.`,
		Example: `  oci-proxyctl store overrides`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runStoreOverrides(cmd.Context(), &at)
		},
	}
	at.flags(cmd)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd)
	return cmd
}

func (a *app) runStoreOverrides(ctx context.Context, at *published) error {
	site, err := at.open(ctx, a)
	if err != nil {
		return err
	}
	state, err := readSite(ctx, site)
	if err != nil {
		return err
	}
	if fault := state.Faults[publication.OverridesName]; fault != nil {
		return cli.Fail("find out who wrote it; config keys show lists the keys", "what is there cannot be believed: %w", fault)
	}
	now := time.Now()
	list := heldOverrides(state.Overrides, now)
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, list)
	}
	return a.writeOverrides(list, now)
}

func (a *app) writeOverrides(list []heldOverride, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(a.stdout, "no overrides")
		return err
	}
	color := cli.UseColor(a.stdout, a.env)
	t := cli.Table{Header: []string{"OVERRIDE", "WHAT", "ENDS", "BY", "WHY"}, Color: color}
	for i := range list {
		o := &list[i]
		t.Row(o.ID, aboutOverride(&o.Override), endOf(o, now), cmp.Or(o.By, "-"), o.Why)
	}
	_, err := t.WriteTo(a.stdout)
	return err
}

func endOf(o *heldOverride, now time.Time) string {
	switch {
	case o.Until.IsZero():
		return "when reviewed"
	case o.Ended:
		return "ended " + o.Until.Format("15:04") + " UTC"
	}
	text := o.Until.Format("15:04") + " UTC, in " + o.Until.Sub(now).Round(time.Minute).String()
	if o.Soon {
		text += " (soon)"
	}
	return text
}
