package main

import (
	"cmp"
	"fmt"
	"slices"

	"ociproxy/internal/check"
	"ociproxy/internal/config"
	"ociproxy/internal/route"
)

// routed adds to doc what only the ranking for every place shows: stores that are no client's first choice, and
// places that no candidate serves at its own cloud's price.
func routed(doc *checked, cfg *config.Config, snap *route.Snapshot) {
	at := map[string]string{}
	for i := range cfg.Stores {
		at[cfg.Stores[i].Name] = fmt.Sprintf("stores[%d]", i)
	}
	audience := route.Audience{Cloud: cfg.Ranges.Recognises, Coordinates: cfg.Ranges.GeoIP.City != ""}
	for _, n := range cfg.Names {
		if to, err := snap.Confine(n.Candidates); err == nil && n.Role == config.Direct {
			audience.Names = append(audience.Names, to)
		}
	}
	for _, idle := range snap.Idle(audience) {
		name, hint := snap.Candidates[idle.Candidate].Name, "this is fine if it is meant"
		if idle.Beaten {
			hint = "it gets traffic only when others fail or do not have a layer: this is fine for a spare"
		}
		doc.Warnings = append(doc.Warnings, cfg.Fault(at[name], hint, "%s is no client's first choice: %s", name, idle.Why))
	}
	slices.SortStableFunc(doc.Warnings, func(a, b *config.Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	for _, p := range snap.Outside() {
		i := slices.IndexFunc(doc.Serving, func(s check.Serving) bool { return s.Cloud == p.Cloud })
		if i >= 0 {
			doc.Serving[i].Outside = append(doc.Serving[i].Outside, p.String())
		}
	}
}
