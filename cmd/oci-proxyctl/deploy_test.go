package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	yaml "go.yaml.in/yaml/v4"
)

// container is the part of a manifest's container that this test needs.
type container struct {
	Args []string `yaml:"args"`
	Env  []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"env"`
}

// The manifests under deploy match the program. The count of an Indexed Job equals the one in its pods' environment.
func TestManifests(t *testing.T) {
	for _, file := range []string{"kubernetes-mirror-job.yaml", "cloud-run-mirror-job.yaml"} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile("../../deploy/" + file)
			if err != nil {
				t.Fatal(err)
			}
			dec := yaml.NewDecoder(bytes.NewReader(text))
			for n := 0; ; n++ {
				var doc struct {
					Spec struct {
						Completions string `yaml:"completions"`
						Template    struct {
							Spec struct {
								Containers []container `yaml:"containers"`
								Template   struct {
									Spec struct {
										Containers []container `yaml:"containers"`
									} `yaml:"spec"`
								} `yaml:"template"`
							} `yaml:"spec"`
						} `yaml:"template"`
					} `yaml:"spec"`
				}
				if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				spec := doc.Spec.Template.Spec
				all := slices.Concat(spec.Containers, spec.Template.Spec.Containers)
				if len(all) != 1 {
					t.Fatalf("document %d has %d containers", n, len(all))
				}
				a := &app{env: func(string) string { return "" }, stdout: io.Discard, stderr: io.Discard}
				cmd, flags, err := a.root().Find(all[0].Args)
				if err == nil {
					err = cmd.ParseFlags(flags)
				}
				if err != nil || cmd.Name() != "mirror" {
					t.Errorf("document %d: %v: %v", n, all[0].Args, err)
				}
				for _, e := range all[0].Env {
					if e.Name == "JOB_COMPLETIONS" && e.Value != doc.Spec.Completions {
						t.Errorf("document %d: JOB_COMPLETIONS is %s, completions %s", n, e.Value, doc.Spec.Completions)
					}
				}
			}
		})
	}
}
