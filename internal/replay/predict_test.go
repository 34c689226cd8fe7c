package replay

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/config"
)

// TestPredict: how many clients of a place move, when rollouts follow each other in the ranking.
func TestPredict(t *testing.T) {
	const text = `version: 1
ranges: {seed: /seed, feeds: [{provider: aws}]}
upstreams: [{name: main, url: "https://main.example", place: aws/eu-west-1, canonical: true}]
stores:
  - {name: near, place: aws/us-east-1, url: "https://near.example/{digest}", serves: [aws], rollout: 50}
  - {name: next, place: aws/us-east-2, url: "https://next.example/{digest}", serves: [aws], rollout: 20}
`
	parse := func(text string) *config.Config {
		cfg, err := config.Parse("c.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	for change, want := range map[[2]string]string{
		{"rollout: 50", "rollout: 50"}:             "",
		{"rollout: 50", "rollout: 60"}:             "main → near 8%, next → near 2%",
		{"rollout: 50", "rollout: 0"}:              "near → main 40%, near → next 10%",
		{"rollout: 50", "rollout: 50, state: off"}: "near → main 40%, near → next 10%",
		{"rollout: 20", "rollout: 100"}:            "main → next 40%", // 80 % of the half that near does not take
		{"rollout: 20", "rollout: 21"}:             "main → next 1%",  // rounded, but never to nothing
		// Announced dates: who gets nothing now loses nothing.
		{"rollout: 50", "rollout: 50, announce: {until: 2020-01-01}"}:          "near → main 40%, near → next 10%",
		{"rollout: 50", "rollout: 50, announce: {from: 2026-12-10}"}:           "near → main 40%, near → next 10%",
		{"rollout: 50", "rollout: 50, announce: {until: 2026-12-10}"}:          "",
		{"rollout: 20", "rollout: 100, announce: {from: 2026-12-10}"}:          "next → main 10%",
		{"serves: [aws], rollout: 20", "serves: [aws, internet], rollout: 20"}: "",
		// A store whose clients go to another host is another server, whatever its name is.
		{"https://near.example/", "https://far.example/"}: "near → near at far.example 50%",
		// A new store, and one that is gone.
		{"name: near", "name: other"}: "near → other 50%",
	} {
		m, err := Predict(parse(strings.Replace(text, change[0], change[1], 1)), parse(text), time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		var moved []string
		for _, v := range m.Moved {
			if v.Place == "aws/us-east-1" {
				moved = append(moved, fmt.Sprintf("%s → %s %d%%", v.Was, v.Is, v.Share))
			}
		}
		if got := strings.Join(moved, ", "); got != want {
			t.Errorf("%s: %q, want %q", change, got, want)
		}
		if slices.ContainsFunc(m.Moved, func(v Move) bool { return strings.HasPrefix(v.Place, "gcp/") }) || m.Places < 30 || m.Places > 60 {
			t.Errorf("%s: %d places, of clouds without a feed too", change, m.Places)
		}
	}
}
