package gate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/prometheus"
)

// seen makes the answer about instances. Each text is "instance ring generation".
func seen(of ...string) (out []prometheus.Sample) {
	for _, one := range of {
		word := strings.Fields(one)
		out = append(out, prometheus.Sample{Value: 1, Labels: map[string]string{"job": "p", "instance": word[0], "ring": word[1], "generation": word[2]}})
	}
	return out
}

// TestPresence: which instances count, and which have the step: generation 7 for canary, and 8 for all.
func TestPresence(t *testing.T) {
	const file = "instances: {rings: {all: 2}}\ngates: [{name: g, expr: x, max: 1}]"
	for name, tt := range map[string]struct {
		file      string
		now, last []string // as Prometheus sees them now, and saw them last
		ok        bool
		detail    string
	}{
		"all have it":                {file, []string{"a canary 7", "b all 8", "c all 8"}, nil, true, "all 2 of 2; canary 1 of 1"},
		"one has not":                {file, []string{"a canary 7", "b all 8", "c all 6"}, nil, false, "all 1 of 2, not p c; canary 1 of 1"},
		"one is ahead":               {file, []string{"a canary 9", "b all 8", "c all 8"}, nil, false, "all 2 of 2; canary 0 of 1, not p a"},
		"too few":                    {file, []string{"a canary 7", "b all 8"}, nil, false, "all 1 of 2; canary 1 of 1"},
		"no instance of a ring":      {file, []string{"b all 8", "c all 8"}, nil, false, "all 2 of 2; canary 0 of 1"},
		"nothing at all":             {file, nil, nil, false, "all 0 of 2; canary 0 of 1"},
		"a ring of no interest":      {file, []string{"a canary 7", "b all 8", "c all 8", "d early 1"}, nil, true, "all 2 of 2; canary 1 of 1"},
		"no publication yet":         {file, []string{"a canary 7", "b all 8", "c all 8", "d all 0"}, nil, false, "all 2 of 3, not p d; canary 1 of 1"},
		"it has just ended":          {file, []string{"a canary 7", "b all 8", "c all 8"}, []string{"a canary 7", "d all 6"}, false, "all 2 of 3, not p d; canary 1 of 1"},
		"it ended with the step":     {file, []string{"a canary 7", "b all 8"}, []string{"d all 6", "d all 8"}, true, "all 2 of 2; canary 1 of 1"},
		"it had another one before":  {file, []string{"a canary 7", "b all 8", "c all 8"}, []string{"a canary 6", "b all 5", "c all 6"}, true, "all 2 of 2; canary 1 of 1"},
		"it went back":               {file, []string{"a canary 7", "b all 8", "c all 6"}, []string{"c all 8"}, false, "all 1 of 2, not p c; canary 1 of 1"},
		"a ring may be without":      {strings.Replace(file, "all: 2", "all: 0, canary: 0", 1), nil, nil, true, "all 0 of 0; canary 0 of 0"},
		"names of some only":         {file, []string{"a canary 7", "b all 1", "c all 1", "d all 1", "e all 1", "f all 1", "g all 1"}, nil, false, "all 0 of 6, not p b, p c, p d, p e, p f; canary 1 of 1"},
		"instances by another label": {strings.Replace(file, "rings", "by: [instance], rings", 1), []string{"a canary 1", "b all 8", "c all 8"}, nil, false, "all 2 of 2; canary 0 of 1, not a"},
	} {
		t.Run(name, func(t *testing.T) {
			source := script(func(expr string) ([]prometheus.Sample, error) {
				switch {
				case strings.HasPrefix(expr, "last_over_time(ociproxy_config_info{}[120s])"):
					return seen(append(tt.last, tt.now...)...), nil
				case strings.HasPrefix(expr, "ociproxy_config_info"):
					return seen(tt.now...), nil
				}
				return nil, nil
			})
			e := NewJudge(parse(t, tt.file), source, nil).Evaluate(t.Context(), At{Want: map[string]uint64{"canary": 7, "all": 8}})
			if p := e.Presence; !p.Known || p.OK != tt.ok || p.Detail != tt.detail {
				t.Errorf("%+v, want %t: %s", p, tt.ok, tt.detail)
			}
		})
	}
}

// TestPresenceUnknown: what cannot be asked, or makes no sense, is not known. So nothing is taken back for it.
func TestPresenceUnknown(t *testing.T) {
	f := parse(t, "gates: [{name: g, expr: x, max: 1}]")
	for want, source := range map[string]script{
		"connection refused": func(string) ([]prometheus.Sample, error) { return nil, errAway },
		`instance p a has the generation "many"`: func(string) ([]prometheus.Sample, error) {
			return seen("a canary many"), nil
		},
	} {
		if p := NewJudge(f, source, nil).Evaluate(t.Context(), step()).Presence; p.Known || p.OK || p.Detail != want {
			t.Errorf("%+v, want %q", p, want)
		}
	}
}

func TestInstances(t *testing.T) {
	source := script(func(expr string) ([]prometheus.Sample, error) {
		if strings.HasPrefix(expr, "last") {
			return seen("b all 2", "b all 3", "a all 9"), nil
		}
		return seen("a all 4"), nil
	})
	got, err := NewJudge(parse(t, "gates: [{name: g, expr: x, max: 1}]"), source, nil).Instances(t.Context())
	want := []Instance{{Name: "p a", Ring: "all", Generation: 4, Present: true}, {Name: "p b", Ring: "all", Generation: 3}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v (-want +got)\n%s", err, d)
	}
}
