package check

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
)

// Unknown stands for clients whose cloud is unknown: homes, offices, hosters without a feed.
const Unknown = "unknown"

// Serving says which candidates answer the clients of one cloud.
type Serving struct {
	Cloud string `json:"cloud"`
	// Stores has the stores that may serve the cloud: those that name it, those that serve all, and, when Internet is
	// true, those that serve the internet.
	Stores []string `json:"stores"`
	// Upstreams has the upstreams in the cloud.
	Upstreams []string `json:"upstreams"`
	// Filling has the stores that will serve the cloud when they are active.
	Filling []string `json:"filling,omitempty"`
	// Internet says that no store or upstream names the cloud and no upstream is in it, so the `internet` stores serve
	// its clients.
	Internet bool `json:"internet"`
	// Outside has places of the cloud that no candidate serves at the cloud's own price: places in another partition
	// than the stores', or the cloud alone, for a region that is not on the map. There the stores that serve `internet`
	// count too, where they are cheaper. The caller that knows the ranking fills it.
	Outside []string `json:"outside,omitempty"`
}

// ServingOf lists who serves the clients of each cloud on the map, and unknown clients. The list is in the order of
// names, with Unknown last. Only stores that take traffic count (state active). Upstreams serve the clients that no
// store serves.
func ServingOf(cfg *config.Config) []Serving {
	clouds := map[string]bool{}
	for _, s := range cfg.Map().Sites() {
		clouds[s.Cloud] = true
	}
	var names []string
	for c := range clouds {
		names = append(names, c)
	}
	slices.Sort(names)
	var out []Serving
	served := cfg.Served()
	for _, c := range append(names, Unknown) {
		out = append(out, servingOf(cfg, c, slices.Contains(served, c)))
	}
	return out
}

func servingOf(cfg *config.Config, cloud string, served bool) Serving {
	sv := Serving{Cloud: cloud, Stores: []string{}, Upstreams: []string{}, Internet: !served}
	for _, u := range cfg.Upstreams {
		if u.Place.Cloud == cloud {
			sv.Upstreams = append(sv.Upstreams, u.Name)
		}
	}
	for _, s := range cfg.Stores {
		serves := s.Serves
		named := slices.Contains(serves.Clouds, cloud)
		switch {
		case active(s.State) && (serves.All || named || sv.Internet && serves.Internet):
			sv.Stores = append(sv.Stores, s.Name)
		case s.State == config.Filling && named:
			sv.Filling = append(sv.Filling, s.Name)
		}
	}
	return sv
}

func active(s config.State) bool { return s == config.Active || s == "" }

// WriteServing writes the list as a table. Clouds that no store or upstream names share one line.
func WriteServing(w io.Writer, list []Serving) error {
	table := cli.Table{Header: []string{"CLIENTS IN", "ARE SERVED BY"}}
	var rest []string
	var fallen Serving
	internet := slices.ContainsFunc(list, func(s Serving) bool { return s.Internet && len(s.Stores) > 0 })
	for _, s := range list {
		if s.Internet && len(s.Filling) == 0 {
			rest = append(rest, s.Cloud)
			fallen = s
			continue
		}
		table.List(s.Cloud, s.describe())
		if len(s.Outside) > 0 && internet {
			table.List("  "+few("place", s.Outside), "the same or, where cheaper, the `internet` stores: no candidate has the cloud's own price there")
		}
	}
	if len(rest) > 0 {
		table.List(strings.Join(rest, ", "), fallen.describe())
	}
	_, err := table.WriteTo(w)
	return err
}

func (s Serving) describe() string {
	if len(s.Filling) > 0 {
		now := s
		now.Filling = nil
		return now.describe() + "; being filled: " + few("store", s.Filling)
	}
	var parts []string
	if len(s.Stores) > 0 {
		parts = append(parts, few("store", s.Stores))
	}
	if len(s.Upstreams) > 0 {
		parts = append(parts, few("upstream", s.Upstreams)+" in it")
	}
	switch {
	case s.Internet && len(s.Stores) > 0:
		return strings.Join(parts, ", ") + " (the `internet` stores: no store names the cloud, no upstream is in it)"
	case s.Internet:
		return "the nearest upstream (no store names the cloud, none serves `internet`)"
	case len(s.Stores) == 0:
		return strings.Join(append(parts, "no store"), ", ")
	}
	return strings.Join(parts, ", ")
}

// few names up to four items, or the first three of more, and counts them all.
func few(noun string, names []string) string {
	list := names
	more := ""
	if len(list) > 4 {
		list, more = list[:3], ", …"
	}
	return fmt.Sprintf("%s (%s%s)", english.Plural(len(names), noun, ""), strings.Join(list, ", "), more)
}
