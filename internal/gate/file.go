package gate

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"

	"ociproxy/internal/config"
)

// File is a file of gates.
type File struct {
	// Version is the version of the format: 1.
	Version int `yaml:"version" rule:"required" hint:"begin the file with version: 1"`
	// Every is the time between two evaluations.
	Every time.Duration `yaml:"every"`
	// Window is $window in expressions: the time that a rate looks back. Prometheus needs at least four scrapes in it.
	Window time.Duration `yaml:"window"`
	// Soak is how long each step is watched once all instances have it.
	Soak time.Duration `yaml:"soak"`
	// Limit is how long a step may wait for a verdict. Then the rollout stops, and changes nothing.
	Limit time.Duration `yaml:"limit"`
	// Good is how many evaluations in a row must be good before a step counts as good.
	Good int `yaml:"good"`
	// Bad of the last Of results of one gate take the change back.
	Bad int `yaml:"bad"`
	Of  int `yaml:"of"`
	// Instances says which instances must have a step.
	Instances Instances `yaml:"instances"`
	// Traffic says how much traffic gates need before they count.
	Traffic []Traffic `yaml:"traffic"`
	// Gates must all be good.
	Gates []Gate `yaml:"gates" rule:"required" hint:"deploy/rollout/gates.yaml is an example"`
	// Freeze lists times in which no step begins.
	Freeze []Freeze `yaml:"freeze"`
}

// Instances says which instances must have a step.
type Instances struct {
	// Match is added to the matchers of ociproxy_config_info: job="oci-proxy",cluster="prod".
	Match string `yaml:"match"`
	// By are the labels that tell instances apart.
	By []string `yaml:"by"`
	// Min is how many instances each ring must have at least.
	Min int `yaml:"min"`
	// Rings are other minimums of single rings.
	Rings map[string]int `yaml:"rings"`
	// Stale is how long an instance still counts after Prometheus saw it last.
	Stale time.Duration `yaml:"stale"`
	// Within is how long a step may take until all instances have it. Then it is taken back.
	Within time.Duration `yaml:"within"`
}

// Traffic is an amount of traffic without which there is no verdict.
type Traffic struct {
	Name string `yaml:"name" rule:"required"`
	// Expr is a Prometheus expression.
	Expr string `yaml:"expr" rule:"required"`
	// Min is the least sum of its series that is enough.
	Min float64 `yaml:"min" rule:"required"`
}

// Gate is one gate: a Prometheus expression with bounds, or a command.
type Gate struct {
	Name string `yaml:"name" rule:"required"`
	// Expr is a Prometheus expression. Each of its series must be within the bounds.
	Expr string `yaml:"expr"`
	// Max and Min are bounds of its value.
	Max *float64 `yaml:"max"`
	Min *float64 `yaml:"min"`
	// Factor bounds it by what the instances without the change have; where there are none, by what the same instances
	// had before. Plus is added to that bound. The expression must use $instances and $offset.
	Factor *float64 `yaml:"factor"`
	Plus   float64  `yaml:"plus"`
	// Quiet says that the gate counts without the minimum of traffic too.
	Quiet bool `yaml:"quiet"`

	// Command is a program and its arguments. It is good with exit code 0 and bad with 1. A report of `oci-proxyctl
	// probe --output json` is bad if it has an error that was not there before the rollout.
	Command []string `yaml:"command"`
	// Timeout limits one run of it.
	Timeout time.Duration `yaml:"timeout"`
	// Every is the time between the starts of two runs.
	Every time.Duration `yaml:"every"`

	// Bad and Of are those of this gate; 0: those of the file.
	Bad int `yaml:"bad"`
	Of  int `yaml:"of"`
}

// maxGates bounds the queries of an evaluation, and maxOf what is remembered of each gate.
const maxGates, maxOf = 50, 100

// Parse reads the text of a file. name is what messages call it. The error is a *config.Errors.
func Parse(name string, text []byte) (*File, error) {
	f := &File{
		Every: 10 * time.Second, Window: time.Minute, Soak: 15 * time.Minute, Limit: time.Hour, Good: 3, Bad: 2, Of: 5,
		Instances: Instances{By: []string{"job", "instance"}, Min: 1, Stale: 2 * time.Minute, Within: 5 * time.Minute},
	}
	if err := config.Decode(name, text, f, f.check); err != nil {
		return nil, err
	}
	for i := range f.Gates {
		g := &f.Gates[i]
		g.Bad, g.Of = cmp.Or(g.Bad, f.Bad), cmp.Or(g.Of, f.Of)
		g.Timeout, g.Every = cmp.Or(g.Timeout, time.Minute), cmp.Or(g.Every, 30*time.Second)
	}
	return f, nil
}

type fail func(path, hint, format string, args ...any)

func (f *File) check(fail func(path, hint, format string, args ...any)) {
	if f.Version != 1 {
		fail("version", "begin the file with version: 1", "unknown format version %d", f.Version)
	}
	if f.Every < time.Second {
		fail("every", "10s is usual", "%s is too short", f.Every)
	}
	if f.Window < f.Every {
		fail("window", "60s is usual", "%s is shorter than every", f.Window)
	}
	if f.Soak < f.Window {
		fail("soak", "a rate over the window also sees what was before the step", "%s is shorter than window", f.Soak)
	}
	if f.Instances.Within < f.Every || f.Instances.Stale < f.Every {
		fail("instances", "within: 5m and stale: 2m are usual", "within and stale must not be shorter than every")
	}
	if f.Instances.Within < f.Instances.Stale {
		fail("instances", "within: 5m and stale: 2m are usual", "within must not be shorter than stale: an instance that has ended would take the change back")
	}
	if f.Limit < f.Soak+f.Instances.Within {
		fail("limit", fmt.Sprintf("at least %s", f.Soak+f.Instances.Within), "%s is shorter than soak and instances.within together", f.Limit)
	}
	if f.Good < 1 {
		fail("good", "3 is usual", "%d evaluations are no verdict", f.Good)
	}
	bound(fail, "", f.Bad, f.Of)
	f.Instances.check(fail)
	names := map[string]bool{}
	for i, t := range f.Traffic {
		path := fmt.Sprintf("traffic[%d]", i)
		unique(fail, names, path, t.Name)
		checkExpr(fail, path+".expr", t.Expr)
	}
	if len(f.Gates) == 0 || len(f.Gates)+len(f.Traffic) > maxGates {
		fail("gates", "", "want 1 to %d gates, found %d", maxGates, len(f.Gates))
	}
	for i := range f.Gates {
		path := fmt.Sprintf("gates[%d]", i)
		unique(fail, names, path, f.Gates[i].Name)
		f.Gates[i].check(fail, path)
	}
	for i := range f.Freeze {
		f.Freeze[i].check(fail, fmt.Sprintf("freeze[%d]", i))
	}
}

var labelRule = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (in *Instances) check(fail fail) {
	if len(in.By) == 0 || slices.ContainsFunc(in.By, func(l string) bool { return !labelRule.MatchString(l) }) {
		fail("instances.by", "job and instance are usual", "want names of labels")
	}
	if in.Min < 1 {
		fail("instances.min", "without an instance there is nothing to judge", "%d is less than 1", in.Min)
	}
	for ring, n := range in.Rings {
		if n < 0 {
			fail("instances.rings."+ring, "", "%d is negative", n)
		}
	}
}

func unique(fail fail, names map[string]bool, path, name string) {
	if names[name] {
		fail(path+".name", "", "there is another one with the name %.60q", name)
	}
	names[name] = true
}

func bound(fail fail, path string, bad, of int) {
	if bad < 1 || of < bad || of > maxOf {
		fail(path+"bad", "bad: 2 and of: 5 are usual", "want 1 ≤ bad ≤ of ≤ %d", maxOf)
	}
}

func (g *Gate) check(fail fail, path string) {
	switch {
	case (g.Expr == "") == (len(g.Command) == 0):
		fail(path, "", "a gate has expr or command")
	case g.Expr == "" && (g.Max != nil || g.Min != nil || g.Factor != nil || g.Quiet):
		fail(path, "", "max, min, factor and quiet belong to expr")
	case g.Expr != "" && (g.Timeout != 0 || g.Every != 0):
		fail(path, "", "timeout and every belong to command")
	case g.Expr != "" && g.Max == nil && g.Min == nil && g.Factor == nil:
		fail(path, "for example max: 0.01", "the gate has no bound: max, min or factor")
	case g.Factor != nil && *g.Factor < 0 || g.Plus < 0:
		fail(path, "", "factor and plus cannot be negative")
	case g.Plus != 0 && g.Factor == nil:
		fail(path+".plus", "", "plus belongs to factor")
	case g.Bad != 0 || g.Of != 0:
		bound(fail, path+".", g.Bad, g.Of)
	}
	if g.Expr == "" {
		return
	}
	used := checkExpr(fail, path+".expr", g.Expr)
	if g.Factor != nil && (!slices.Contains(used, "instances") || !slices.Contains(used, "offset")) {
		fail(path+".expr", "write rate(x[$window] $offset) * $instances", "with factor, the expression must use $instances and $offset")
	}
}

// checkExpr reports unknown variables, and returns those that are used.
func checkExpr(fail fail, path, expr string) (used []string) {
	for _, m := range variable.FindAllStringSubmatch(expr, -1) {
		if !slices.Contains(variables, m[1]) {
			hint := "there are $" + joined(variables)
			if near := config.Suggest(m[1], variables); near != "" {
				hint = "did you mean $" + near + "?"
			}
			fail(path, hint, "unknown variable $%s", m[1])
		}
		used = append(used, m[1])
	}
	return used
}
