package show

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/plan"
	"ociproxy/internal/region"
	"ociproxy/internal/store/address"
)

// Doc is the JSON document of plan. Only add fields; never remove one.
type Doc struct {
	*plan.Plan
	Config string `json:"config"`
	// Next are the stores that the best set adds, each with its stanza and the commands that follow, the one that pays most
	// first.
	Next []Next `json:"next"`
	// Program is what people type for a command without a program.
	Program string `json:"program"`
}

// Next is a store to add. Only add fields; never remove one.
type Next struct {
	Place  string        `json:"place"`
	Name   string        `json:"name"`
	Stanza string        `json:"stanza,omitempty"` // absent when the names do not follow from another store
	Why    string        `json:"why,omitempty"`    // then: why
	Steps  []region.Step `json:"steps"`            // region add shows them again, as far as they are done
}

// New makes the document of a plan for the config in a file. self is the name of the program itself.
func New(p *plan.Plan, cfg *config.Config, file, self string, now time.Time) (*Doc, error) {
	doc := &Doc{Plan: p, Config: file, Program: self, Next: []Next{}}
	if p.Best == nil {
		return doc, nil
	}
	for _, c := range p.Adding {
		if !slices.ContainsFunc(p.Best.Regions, func(r plan.Region) bool { return r.New && r.Name == c.Name }) {
			continue
		}
		at, err := place.Parse(c.Place)
		if err != nil {
			return nil, err
		}
		doc.Next = append(doc.Next, nextOf(file, cfg, at, now))
	}
	return doc, nil
}

// nextOf returns the steps by which a store comes into its region, when nothing is there yet.
func nextOf(file string, cfg *config.Config, at place.Place, now time.Time) Next {
	facts := &region.Facts{File: file, Now: now, How: region.How{
		Write: []string{"region", "add", at.String(), "--config", file}, Gates: "gates.yaml", Percents: []int{1, 5, 25, 50, 100},
	}}
	facts.Site, _ = cfg.Map().Find(at)
	out := Next{Place: at.String()}
	draft, err := region.Make(cfg, region.Wish{Place: at, Now: now})
	if held := region.At(cfg, at); len(held) > 0 {
		facts.Store = held[0] // it is filling
		out.Name = held[0].Name
	} else if err != nil {
		out.Name, out.Why = strings.ReplaceAll(at.String(), "/", "-"), err.Error()
		facts.How.Write = append(facts.How.Write, "--name", out.Name, "--bucket", "BUCKET", "--url", "URL")
	} else {
		out.Name, out.Stanza = draft.Name, draft.Text
		if b, err := address.Parse(draft.Store.Bucket); err == nil {
			facts.Amazon = b.Scheme == "s3" && b.Amazon()
		}
	}
	facts.How.Write = append(facts.How.Write, "--confirm")
	facts.Name, facts.How.Record = out.Name, filepath.Join(filepath.Dir(file), out.Name+".admission.json")
	out.Steps = region.Add(facts)
	return out
}
