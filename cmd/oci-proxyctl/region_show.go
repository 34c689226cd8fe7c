package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/price"
	"ociproxy/internal/region"
	"ociproxy/internal/replay"
)

// regionDoc is the JSON document of region add and region remove. Only add fields; never remove one.
type regionDoc struct {
	Place   string        `json:"place"`
	Name    string        `json:"name"`
	Like    string        `json:"like,omitempty"` // the store from which the values of the stanza come
	Notes   []string      `json:"notes,omitempty"`
	Diff    string        `json:"diff,omitempty"` // of the file; absent when the file says so already
	Written bool          `json:"written"`
	DryRun  bool          `json:"dryRun"`
	Steps   []region.Step `json:"steps"`
	// Clients are those that the store changes something for, once it is active at 100 %.
	Clients []replay.Gain `json:"clients,omitempty"`
	Saved   *saved        `json:"saved,omitempty"` // absent without Prometheus

	bucket string
}

// regionShow shows a walk.
type regionShow struct {
	*app
	doc   *regionDoc
	steps func() error // looks again at what is there
}

// next returns the step that comes next; nil: all are done.
func (s *regionShow) next() *region.Step {
	for i := range s.doc.Steps {
		if s.doc.Steps[i].State != region.Done {
			return &s.doc.Steps[i]
		}
	}
	return nil
}

// gains compares the config with the store, active at 100 %, with the same one without it.
func (a *app) gains(doc *regionDoc, cfg *config.Config, name string) error {
	with, without := *cfg, *cfg
	with.Stores, without.Stores = nil, nil
	for _, s := range cfg.Stores {
		if s.Name != name {
			with.Stores, without.Stores = append(with.Stores, s), append(without.Stores, s)
			continue
		}
		s.State, s.Rollout, s.Announce = config.Active, 100, config.Announce{}
		with.Stores = append(with.Stores, s)
	}
	var err error
	if doc.Clients, err = replay.Gains(&with, &without, time.Now()); err != nil {
		a.warn("what clients gain is not known: %v", err)
	}
	return nil
}

// maxGains is how many places are shown to a person. JSON has all.
const maxGains = 5

func (s *regionShow) write() error {
	if s.format == cli.JSON {
		return cli.WriteJSON(s.stdout, s.doc)
	}
	d := s.doc
	var b strings.Builder
	if d.Like != "" {
		fmt.Fprintf(&b, "%s follows %s, the nearest store of the same cloud.\n", d.Name, d.Like)
	}
	for _, n := range d.Notes {
		b.WriteString(n + "\n")
	}
	if d.Diff != "" {
		b.WriteString("\n" + d.Diff + "\n")
	}
	t := cli.Table{Header: []string{"STEP", "STATE", "DETAIL"}}
	for _, step := range d.Steps {
		t.Row(step.Name, string(step.State), step.Detail)
	}
	if _, err := t.WriteTo(&b); err != nil {
		return err
	}
	if next := s.next(); next == nil {
		b.WriteString("\nAll steps are done.\n")
	} else {
		fmt.Fprintf(&b, "\nNext, %s:\n", next.Name)
		for line := range strings.Lines(commandLines(next.Commands)) {
			b.WriteString("  " + line)
		}
		b.WriteString("\n")
	}
	if d.Diff != "" && !d.Written || s.next() == nil {
		if err := writeGains(&b, d); err != nil {
			return err
		}
	}
	if d.Diff != "" && !d.Written {
		b.WriteString("\nNothing is written: --confirm writes it.\n")
	}
	_, err := fmt.Fprint(s.stdout, &b)
	return err
}

func writeGains(b *strings.Builder, d *regionDoc) error {
	if len(d.Clients) == 0 {
		return nil
	}
	fmt.Fprintf(b, "\nWith %s active at 100 %%:\n", d.Name)
	t := cli.Table{Header: []string{"CLIENTS AT", "SHARE", "FROM", "TO", "RTT MS", "CENTS/GIB"}}
	for _, g := range d.Clients[:min(maxGains, len(d.Clients))] {
		t.Row(g.Place, fmt.Sprintf("%d%%", g.Share), g.Was, g.Is, fmt.Sprintf("%.1f → %.1f", g.RTTWas, g.RTTIs), fmt.Sprintf("%.2f → %.2f", g.CentsWas, g.CentsIs))
	}
	_, err := t.WriteTo(b)
	if more := len(d.Clients) - maxGains; more > 0 {
		fmt.Fprintf(b, "and %d more: --output json lists all\n", more)
	}
	if d.Saved != nil {
		fmt.Fprintf(b, "In the last %d days %s sent them %s, which cost $%.2f less.\n", savedDays, d.Name, size(d.Saved.Bytes), d.Saved.USD)
	}
	return err
}

// savedDays is the time over which savings are added up.
const savedDays = 30

// saved is what the clients of a store cost less than without it. Only add fields; never remove one.
type saved struct {
	Days  int     `json:"days"`
	Bytes int64   `json:"bytes"`
	USD   float64 `json:"usd"`
}

// savings asks Prometheus how much the store sent to the clients that it changes something for.
func (a *app) savings(ctx context.Context, url string, d *regionDoc) error {
	if url = cmp.Or(url, a.env(prometheusVariable)); url == "" || len(d.Clients) == 0 {
		return nil
	}
	client, err := a.openPrometheus(url)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, regionSees)
	defer cancel()
	samples, err := client.Query(ctx, fmt.Sprintf("sum by (cloud, region) (increase(ociproxy_redirected_bytes_total{candidate=%q}[%dd]))", d.Name, savedDays), time.Time{})
	if err != nil {
		return cli.Fail("leave out --prometheus to see the rest", "%w", err)
	}
	d.Saved = &saved{Days: savedDays}
	for _, s := range samples {
		at := place.Place{Cloud: s.Labels["cloud"], Region: s.Labels["region"]}.String()
		for _, g := range d.Clients {
			if g.Place == at && !math.IsNaN(s.Value) {
				d.Saved.Bytes += int64(s.Value)
				d.Saved.USD += price.USD(s.Value, g.CentsWas-g.CentsIs, price.GiB)
				break
			}
		}
	}
	return nil
}
