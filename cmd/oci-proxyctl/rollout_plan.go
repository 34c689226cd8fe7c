package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/config/edit"
	"ociproxy/internal/gate"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/rollout"
)

// rolloutSteps returns the steps that the flags ask for, with configs that instances can use.
func (a *app) rolloutSteps(file string, f *rolling) ([]rollout.PlanStep, error) {
	cfg, err := a.parsed(file)
	if err != nil {
		return nil, err
	}
	var steps []rollout.PlanStep
	if len(f.stores) == 0 {
		for _, ring := range f.rings {
			steps = append(steps, rollout.PlanStep{Label: ring, Rings: []string{ring}, Content: cfg.Text()})
		}
		return steps, nil
	}
	c, err := candidateOf(cfg, f.stores[0])
	if err != nil {
		return nil, err
	}
	how := setting{state: string(config.Active), given: func(string) bool { return true }}
	for _, how.rollout = range f.steps {
		sets, err := how.sets(c)
		if err != nil {
			return nil, err
		}
		result, err := edit.Apply(file, cfg.Text(), sets...)
		if refusal, ok := errors.AsType[*edit.Refusal](err); ok {
			return nil, cli.Fail(refusal.Hint, "%w", err)
		}
		if err != nil {
			return nil, err
		}
		steps = append(steps, rollout.PlanStep{Label: c.Name + " " + strconv.Itoa(how.rollout) + "%", Rings: f.rings, Content: result.Text})
	}
	return steps, nil
}

// rolloutPlan is the JSON document of rollout --dry-run. Only add fields; never remove one.
type rolloutPlan struct {
	Steps     []plannedStep    `json:"steps"`
	Freeze    string           `json:"freeze,omitempty"`  // why no step could begin now
	Instances []string         `json:"instances"`         // seen in the rings: "canary: 3"
	Gates     *gate.Evaluation `json:"gates"`             // of the instances of the rings, as they are now
	Trouble   string           `json:"trouble,omitempty"` // why this rollout could not begin
}

type plannedStep struct {
	Label   string     `json:"label"`
	SHA256  string     `json:"sha256"`
	Changes []*changed `json:"changes"` // by ring, from what it has now
}

// planRollout shows what a rollout would do, and the present values of its gates.
func (a *app) planRollout(ctx context.Context, site *publish.Site, gates *gate.File, source gate.Source, plan rollout.Plan) error {
	state, err := readSite(ctx, site)
	if err != nil {
		return err
	}
	doc := rolloutPlan{Freeze: gates.Frozen(time.Now()), Instances: []string{}}
	switch other, err := rollout.ReadState(ctx, site.Bucket, site.Trust); {
	case err != nil:
		doc.Trouble = err.Error()
	case other != nil && !other.Ended():
		doc.Trouble = fmt.Sprintf("the rollout %s by %s (%s) has not ended, so no other one can begin", other.ID, other.By, other.Why)
	}
	want := map[string]uint64{}
	for _, step := range plan.Steps {
		cfg, err := config.Parse(step.Label, step.Content)
		if err != nil {
			return a.invalid(err)
		}
		planned := plannedStep{Label: step.Label, SHA256: publication.Hash(step.Content)}
		for _, ring := range step.Rings {
			h := state.Heads[ring]
			if h == nil {
				return rolloutFault(ctx, fmt.Errorf("ring %s: %w", ring, publish.ErrNoRing))
			}
			want[ring] = h.Generation
			c, err := change(ctx, site, ring, h, cfg, step.Content, time.Now())
			if err != nil {
				return err
			}
			planned.Changes = append(planned.Changes, c)
		}
		doc.Steps = append(doc.Steps, planned)
	}
	judge := gate.NewJudge(gates, source, nil)
	defer judge.Close()
	doc.Gates = judge.Preview(ctx, want)
	for _, r := range doc.Gates.Presence.Rings {
		doc.Instances = append(doc.Instances, fmt.Sprintf("%s: %d", r.Ring, r.Seen))
	}
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	return doc.writeText(a.stdout)
}

func (d *rolloutPlan) writeText(w io.Writer) error {
	for i, step := range d.Steps {
		fmt.Fprintf(w, "Step %d of %d: %s\n", i+1, len(d.Steps), step.Label)
		for _, c := range step.Changes {
			if err := c.writeText(w, false); err != nil {
				return err
			}
		}
	}
	if d.Trouble != "" {
		fmt.Fprintf(w, "No step begins now: %s\n", d.Trouble)
	}
	if d.Freeze != "" {
		fmt.Fprintf(w, "No step begins now: %s\n", d.Freeze)
	}
	if d.Gates.Presence.Known {
		fmt.Fprintf(w, "Instances seen: %s\n", strings.Join(d.Instances, ", "))
	} else {
		fmt.Fprintf(w, "Instances: %s\n", d.Gates.Presence.Detail)
	}
	if d.Gates.Traffic != "" {
		fmt.Fprintf(w, "Too little traffic now: %s\n", d.Gates.Traffic)
	}
	t := cli.Table{Header: []string{"GATE", "NOW", "VALUE"}}
	for _, r := range d.Gates.Results {
		t.Row(r.Gate, string(r.Verdict), r.Detail)
	}
	_, err := t.WriteTo(w)
	if err == nil {
		_, err = fmt.Fprintln(w, "Nothing is published: --dry-run.")
	}
	return err
}
