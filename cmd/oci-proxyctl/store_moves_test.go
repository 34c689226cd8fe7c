package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/config/edit"
)

// TestMoves: how many clients of a place move, when rollouts follow each other in the ranking.
func TestMoves(t *testing.T) {
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
	} {
		m, err := movesOf(parse(strings.Replace(text, change[0], change[1], 1)), parse(text), time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC))
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
		if slices.ContainsFunc(m.Moved, func(v move) bool { return strings.HasPrefix(v.Place, "gcp/") }) || m.Places < 30 || m.Places > 60 {
			t.Errorf("%s: %d places, of clouds without a feed too", change, m.Places)
		}
	}
}

// Each way in which a file cannot be written has its own remedy.
func TestWriteHint(t *testing.T) {
	hints := map[string]bool{}
	for _, err := range []error{edit.ErrChanged, syscall.EROFS, fs.ErrPermission, syscall.ENOSPC} {
		hints[writeHint(fmt.Errorf("write: %w", err))] = true
	}
	if len(hints) != 4 || writeHint(syscall.EBUSY) != writeHint(syscall.EROFS) || hints[""] {
		t.Error(hints)
	}
	if writeHint(errors.Join(errors.New("keep its owner"), syscall.EPERM)) != writeHint(fs.ErrPermission) {
		t.Error("an owner that cannot be kept has another hint")
	}
}
