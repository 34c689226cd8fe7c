package config

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestExamples(t *testing.T) {
	for name, want := range map[string]struct{ stores, upstreams int }{
		"minimal": {1, 1}, "kubernetes": {34, 22}, "on-prem": {2, 1}, "multicloud": {5, 1}, "s3-compatible": {3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Load(filepath.Join("../../examples", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Stores) != want.stores || len(c.Upstreams) != want.upstreams {
				t.Errorf("%d stores and %d upstreams, want %d and %d", len(c.Stores), len(c.Upstreams), want.stores, want.upstreams)
			}
			for _, w := range c.Warnings {
				if !strings.HasPrefix(w.Message, "no store names") { // which clouds fall to the internet stores: meant
					t.Error(w.Text())
				}
			}
		})
	}
}

func TestKubernetesExample(t *testing.T) {
	c, err := Load("../../examples/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s3 := 0
	for _, s := range c.Stores {
		cloud, region := HostRegion(strings.Split(strings.TrimPrefix(s.URL, "https://"), "/")[0])
		if s.CDN == "" && (cloud != s.Place.Cloud || region != s.Place.Region || !strings.Contains(s.URL, ".s3.dualstack.")) {
			t.Errorf("%s: %s is not the dual-stack host of %s", s.Name, s.URL, s.Place)
		}
		if s.Serves.String() == "aws" {
			s3++
		}
	}
	if s3 != 33 {
		t.Errorf("%d stores serve AWS, want 33", s3)
	}
	if got := strings.Join(c.InternetStores(), " "); got != "cdn" {
		t.Errorf("internet stores %q", got)
	}
	if got := strings.Join(c.Unserved(), " "); got != "azure oracle" {
		t.Errorf("unserved clouds %q", got)
	}
}
