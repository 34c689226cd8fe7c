package main

import (
	"time"

	"ociproxy/internal/console/view"
)

// consoleDoc is the JSON document of console. Only add fields; never remove one.
type consoleDoc struct {
	At         time.Time          `json:"at"`
	Instances  int                `json:"instances"`
	Ready      int                `json:"ready"`
	Serving    string             `json:"serving"`
	Requests   float64            `json:"requestsPerSecond"`
	Errors     float64            `json:"errorsPerSecond"` // answers with 5xx
	Dollars    float64            `json:"dollarsPerHour"`
	Saved      float64            `json:"savedDollarsPerHour"`
	SavedKnown bool               `json:"savedKnown"` // every price is known
	LastHour   float64            `json:"dollarsLastHour"`
	Problems   []consoleProblem   `json:"problems"`
	Candidates []consoleCandidate `json:"candidates"`
	Gaps       []string           `json:"gaps"`
}

// consoleProblem is a problem in consoleDoc. Only add fields; never remove one.
type consoleProblem struct {
	Level   string    `json:"level"` // warning, unknown or bad
	Text    string    `json:"text"`
	Since   time.Time `json:"since,omitzero"`
	Runbook string    `json:"runbook,omitempty"`
}

// consoleCandidate is a store or an upstream in consoleDoc. Only add fields; never remove one.
type consoleCandidate struct {
	Name    string         `json:"name"`
	Kind    string         `json:"kind"`
	Place   string         `json:"place"`
	State   string         `json:"state"`
	Since   time.Time      `json:"since,omitzero"`
	Out     int            `json:"out"` // of the instances
	Of      int            `json:"instances"`
	Why     string         `json:"why,omitempty"`
	Bytes   float64        `json:"bytesPerSecond"`
	Dollars float64        `json:"dollarsPerHour"`
	Moved   []consoleMoved `json:"moved,omitempty"`
}

// consoleMoved says where traffic went that a candidate had. Only add fields; never remove one.
type consoleMoved struct {
	To    string  `json:"to"`
	Bytes float64 `json:"bytesPerSecond"`
	Extra float64 `json:"extraDollarsPerHour"`
}

func consoleDocOf(v *view.View) *consoleDoc {
	doc := &consoleDoc{At: v.At.UTC(), Instances: v.Serving.Instances, Ready: v.Serving.Ready, Serving: v.Serving.Text, Requests: v.Serving.Requests,
		Errors: v.Serving.Errors, Dollars: v.Money.Hour, Saved: v.Money.Saved, SavedKnown: v.Money.SavedKnown, LastHour: v.Money.LastHour,
		Problems: []consoleProblem{}, Candidates: []consoleCandidate{}, Gaps: append([]string{}, v.Gaps...)}
	for _, p := range v.Problems {
		doc.Problems = append(doc.Problems, consoleProblem{p.Level.String(), p.Text, p.Since.UTC(), p.Runbook})
	}
	for i := range v.Candidates {
		c := &v.Candidates[i]
		one := consoleCandidate{Name: c.Name, Kind: c.Kind, Place: c.Place, State: string(c.State), Since: c.Since.UTC(), Out: c.Out, Of: c.Of, Why: c.Why,
			Bytes: c.Rate.Bytes, Dollars: c.Rate.Dollars}
		for _, m := range c.Moved {
			one.Moved = append(one.Moved, consoleMoved{m.To, m.Rate.Bytes, m.Extra})
		}
		doc.Candidates = append(doc.Candidates, one)
	}
	return doc
}
