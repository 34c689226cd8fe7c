package check

import (
	"io"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
)

// Announced says what the announced dates of a candidate mean at present.
type Announced struct {
	Name string `json:"name"`
	// From and Until are the dates of the config, when they matter.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	Text  string    `json:"text"`
}

// AnnouncedIn lists the candidates of cfg whose announced dates keep traffic away now or later, in the order of the
// file, stores first.
func AnnouncedIn(cfg *config.Config, now time.Time) []Announced {
	var out []Announced
	at := cfg.At(now)
	add := func(name string, state config.State, a, holding config.Announce) {
		text := holding.Note(state)
		switch {
		case text != "":
		case state == config.Active && now.Before(a.From):
			text = "announced for " + a.From.Format(time.DateOnly) + ", and gets traffic already: published wildcards cover its hosts"
		case state == config.Active && now.Before(a.Until):
			text = "gets traffic, announced until " + a.Until.Format(time.DateOnly)
		default:
			return
		}
		out = append(out, Announced{Name: name, From: a.From, Until: a.Until, Text: text})
	}
	for i := range cfg.Stores {
		add(cfg.Stores[i].Name, at.Stores[i].State, cfg.Stores[i].Announce, at.Stores[i].Announce)
	}
	for i := range cfg.Upstreams {
		add(cfg.Upstreams[i].Name, at.Upstreams[i].State, cfg.Upstreams[i].Announce, at.Upstreams[i].Announce)
	}
	return out
}

// WriteAnnounced writes the list as a table; nothing when it is empty.
func WriteAnnounced(w io.Writer, list []Announced) error {
	if len(list) == 0 {
		return nil
	}
	table := cli.Table{Header: []string{"ANNOUNCED", ""}}
	for _, a := range list {
		table.List(a.Name, a.Text)
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	_, err := table.WriteTo(w)
	return err
}
