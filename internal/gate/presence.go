package gate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Presence says which instances have a step.
type Presence struct {
	// Known is false if Prometheus could not be asked.
	Known bool `json:"known"`
	// OK says that all instances that count have it, and that they are enough.
	OK     bool       `json:"ok"`
	Detail string     `json:"detail"` // for people
	Rings  []Presents `json:"rings"`
}

// Presents are the instances of a ring.
type Presents struct {
	Ring    string   `json:"ring"`
	Seen    int      `json:"seen"`    // instances that count
	Have    int      `json:"have"`    // of them, those that have the generation
	Missing []string `json:"missing"` // the names of some that do not
}

// Instance is an instance as Prometheus saw it last.
type Instance struct {
	Name       string // the values of instances.by, with spaces between
	Ring       string
	Generation uint64
	Hash       string // of its content
	Present    bool   // it is there now, and not only within instances.stale
}

// maxMissing bounds the names in a report.
const maxMissing = 5

// Instances asks Prometheus for all instances that count, sorted by name.
func (j *Judge) Instances(ctx context.Context) ([]Instance, error) {
	x := &expander{file: j.file}
	byName := map[string]Instance{}
	// What an instance has now counts. Only of one that is not there now, what it had last: the highest generation.
	for _, expr := range []string{x.info(), fmt.Sprintf("last_over_time(%s[%s])", x.info(), seconds(j.file.Instances.Stale))} {
		got, err := j.source.Query(ctx, expr, present)
		if err != nil {
			return nil, err
		}
		seen := map[string]Instance{}
		for _, s := range got {
			var name []string
			for _, l := range j.file.Instances.By {
				name = append(name, s.Labels[l])
			}
			generation, err := strconv.ParseUint(cmp.Or(s.Labels["generation"], "0"), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("instance %s has the generation %.40q", strings.Join(name, " "), s.Labels["generation"])
			}
			one := Instance{strings.Join(name, " "), s.Labels["ring"], generation, s.Labels["hash"], expr == x.info()}
			if had, ok := seen[one.Name]; !ok || had.Generation < generation {
				seen[one.Name] = one
			}
		}
		for name, one := range seen {
			if _, now := byName[name]; !now {
				byName[name] = one
			}
		}
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b Instance) int { return strings.Compare(a.Name, b.Name) }), nil
}

func (j *Judge) presence(ctx context.Context, x *expander) Presence {
	all, err := j.Instances(ctx)
	if err != nil {
		return Presence{Detail: err.Error()}
	}
	p := Presence{Known: true, OK: true}
	var texts []string
	for _, ring := range slices.Sorted(maps.Keys(x.at.Want)) {
		r := Presents{Ring: ring, Missing: []string{}}
		for _, one := range all {
			if one.Ring != ring {
				continue
			}
			r.Seen++
			if one.Generation == x.at.Want[ring] {
				r.Have++
			} else if len(r.Missing) < maxMissing {
				r.Missing = append(r.Missing, one.Name)
			}
		}
		least, ok := j.file.Instances.Rings[ring]
		if !ok {
			least = j.file.Instances.Min
		}
		text := fmt.Sprintf("%s %d of %d", ring, r.Have, max(r.Seen, least))
		if r.Have < r.Seen {
			text += ", not " + strings.Join(r.Missing, ", ")
		}
		p.OK = p.OK && r.Have == r.Seen && r.Have >= least
		p.Rings, texts = append(p.Rings, r), append(texts, text)
	}
	p.Detail = strings.Join(texts, "; ")
	return p
}
