package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"
)

// The jobs under deploy/ci match the program: every command and flag in them must exist.
func TestJobsOfCI(t *testing.T) {
	for file, least := range map[string]int{"github-actions.yaml": 5, "prow.yaml": 5, "probe-github-actions.yaml": 2, "probe-prow.yaml": 4,
		"release-github-actions.yaml": 1, "release-prow.yaml": 2, "config-github-actions.yaml": 5} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile("../../deploy/ci/" + file)
			if err != nil {
				t.Fatal(err)
			}
			var doc yaml.Node
			if err := yaml.Unmarshal(text, &doc); err != nil {
				t.Fatal(err)
			}
			calls := 0
			var walk func(n *yaml.Node)
			walk = func(n *yaml.Node) {
				if n.Kind == yaml.ScalarNode {
					for _, line := range strings.Split(strings.ReplaceAll(n.Value, "\\\n", " "), "\n") {
						if m := commandCall.FindStringSubmatch(line); m != nil {
							calls++
							checkCall(t, m[1])
						}
					}
				}
				for _, child := range n.Content {
					walk(child)
				}
			}
			walk(&doc)
			if calls < least {
				t.Errorf("found %d calls", calls)
			}
		})
	}
}

// prowJob has the fields of Prow's jobs that ours use. A misspelt one is an error.
type prowJob struct {
	Name             string         `yaml:"name"`
	Cluster          string         `yaml:"cluster"`
	Decorate         bool           `yaml:"decorate"`
	DecorationConfig map[string]any `yaml:"decoration_config"`
	MaxConcurrency   int            `yaml:"max_concurrency"`
	Branches         []string       `yaml:"branches"`
	RunIfChanged     string         `yaml:"run_if_changed"`
	CloneDepth       int            `yaml:"clone_depth"`
	Cron             string         `yaml:"cron"`
	ExtraRefs        []struct {
		Org     string `yaml:"org"`
		Repo    string `yaml:"repo"`
		BaseRef string `yaml:"base_ref"`
	} `yaml:"extra_refs"`
	Spec struct {
		ServiceAccountName           string           `yaml:"serviceAccountName"`
		AutomountServiceAccountToken *bool            `yaml:"automountServiceAccountToken"`
		Volumes                      []map[string]any `yaml:"volumes"`
		Containers                   []struct {
			Name         string           `yaml:"name"`
			Image        string           `yaml:"image"`
			Command      []string         `yaml:"command"`
			Args         []string         `yaml:"args"`
			VolumeMounts []map[string]any `yaml:"volumeMounts"`
			Resources    map[string]any   `yaml:"resources"`
		} `yaml:"containers"`
	} `yaml:"spec"`
}

// Prow's own types cannot be a dependency: they need most of Kubernetes. What Prow requires of a job is checked here.
func TestProwJobs(t *testing.T) {
	for _, file := range []string{"prow.yaml", "probe-prow.yaml", "release-prow.yaml"} {
		text, err := os.ReadFile("../../deploy/ci/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var jobs struct {
			Presubmits  map[string][]prowJob `yaml:"presubmits"`
			Postsubmits map[string][]prowJob `yaml:"postsubmits"`
			Periodics   []prowJob            `yaml:"periodics"`
		}
		dec := yaml.NewDecoder(bytes.NewReader(text))
		dec.KnownFields(true)
		if err := dec.Decode(&jobs); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		names := map[string]bool{}
		check := func(j prowJob, periodic bool) {
			switch {
			case j.Name == "" || len(j.Name) > 63 || names[j.Name]: // Prow makes a label of it
				t.Errorf("%s: the name %q", file, j.Name)
			case periodic != (j.Cron != ""), periodic && len(j.ExtraRefs) != 1, !periodic && j.RunIfChanged == "":
				t.Errorf("%s: when %s runs, and on what, is not clear", file, j.Name)
			case !j.Decorate || len(j.Spec.Containers) != 1 || !strings.Contains(j.Spec.Containers[0].Image, "@sha256:"):
				t.Errorf("%s: %s must be decorated, with one container of a pinned image", file, j.Name)
			}
			names[j.Name] = true
			mounts := map[any]bool{}
			for _, v := range j.Spec.Volumes {
				mounts[v["name"]] = true
			}
			for _, m := range j.Spec.Containers[0].VolumeMounts {
				if !mounts[m["name"]] {
					t.Errorf("%s: %s mounts %v, which is no volume", file, j.Name, m["name"])
				}
			}
		}
		for _, of := range []map[string][]prowJob{jobs.Presubmits, jobs.Postsubmits} {
			for _, list := range of {
				for _, j := range list {
					check(j, false)
				}
			}
		}
		for _, j := range jobs.Periodics {
			check(j, true)
		}
		if len(names) < 2 {
			t.Errorf("%s has %d jobs", file, len(names))
		}
	}
}

var (
	shellWord   = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)
	commandCall = regexp.MustCompile(`(?:^|\s)oci-proxyctl ([a-z].*)`)
)

// checkCall splits a command line into words as a shell does, as far as these jobs need, and checks the command.
func checkCall(t *testing.T, line string) {
	t.Helper()
	var args []string
	for _, word := range shellWord.FindAllString(line, -1) {
		if strings.ContainsAny(word[:1], ">|&;") || word == "2>&1" {
			break
		}
		args = append(args, strings.Trim(word, `"'`))
	}
	a := &app{env: func(string) string { return "" }, stdout: io.Discard, stderr: io.Discard}
	cmd, rest, err := a.root().Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil || !cmd.Runnable() || cmd.HasSubCommands() {
		t.Errorf("%q: %v", line, err)
	}
}
