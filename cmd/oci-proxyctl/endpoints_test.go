package main

import (
	"testing"

	"ociproxy/internal/endpoints"
)

// Rules made from a list without the name that people pull from block the registry.
func TestLacksRegistry(t *testing.T) {
	named := endpoints.New([]endpoints.Endpoint{{Host: "registry.example.org", Port: 443, Kind: endpoints.Registry}}, 0)
	other := endpoints.New([]endpoints.Endpoint{{Host: "store.example.org", Port: 443, Kind: endpoints.Store}, {Host: "*.wild.example.org", Port: 443, Kind: endpoints.Wildcard}}, 0)
	for host, want := range map[string][2]bool{
		"":                     {false, true},
		"registry.example.org": {false, true},
		"Registry.Example.org": {false, true},
		"mirror.example.org":   {true, true},
		"r.wild.example.org":   {true, false},
		"127.0.0.1":            {false, false},
	} {
		if got := [2]bool{lacksRegistry(named, host), lacksRegistry(other, host)}; got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}
