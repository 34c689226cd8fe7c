package infra

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Result says how something that exists compares with what the config needs.
type Result string

// These are the results. Their names are stable.
const (
	OK          Result = "ok"
	Warning     Result = "warning"     // it works, and a person should look at it
	ByHand      Result = "by hand"     // only a person with other rights can look at it or change it
	Unsupported Result = "unsupported" // the service does not have this, or the config does not want it here
	Unknown     Result = "unknown"     // it could not be looked at
	Drift       Result = "drift"       // it is not as the config needs it
)

// These are the sources of findings: what was looked at.
const (
	OfVariables = "variables" // the file of infra export
	OfBucket    = "bucket"    // the settings of a bucket, seen with credentials
	OfClients   = "clients"   // what anonymous clients get
	OfWriter    = "writer"    // whether the mirror can write
	OfFront     = "front"     // what a front answers
)

// Finding is the comparison of one thing.
type Finding struct {
	Target string `json:"target"` // the store, the front's URL, or "front" for its variables
	Source string `json:"source"`
	What   string `json:"what"` // the setting or the check; the names are stable
	Result Result `json:"result"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// remedyExport is what to do about a file of variables that differs.
const remedyExport = "write it again with oci-proxyctl infra export --out, look at the plan, and apply it"

// CompareVariables compares the variables that a file has with those that the config gives.
func CompareVariables(want, have *Variables) []Finding {
	var out []Finding
	say := func(target, what, format string, args ...any) {
		out = append(out, Finding{target, OfVariables, what, Drift, fmt.Sprintf(format, args...), remedyExport})
	}
	is, was := want.byStore(), have.byStore()
	for _, name := range slices.Sorted(maps.Keys(is)) {
		s, here := was[name]
		switch {
		case !here:
			say(name, "store", "the file does not have the store")
			continue
		case s == is[name]:
			out = append(out, Finding{Target: name, Source: OfVariables, What: "store", Result: OK, Detail: "as in the config"})
			continue
		}
		before, after := fields(s), fields(is[name])
		for _, key := range slices.Sorted(maps.Keys(after)) {
			if before[key] != after[key] {
				say(name, key, "the file has %s, the config %s", cmp.Or(before[key], "nothing"), cmp.Or(after[key], "nothing"))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, here := is[name]; !here {
			say(name, "store", "the file has a store that the config does not have: %s", was[name].account)
		}
	}
	if reflect.DeepEqual(want.Front, have.Front) {
		return append(out, Finding{Target: "front", Source: OfVariables, What: "front", Result: OK, Detail: "as in the config"})
	}
	before, after := fields(have.Front), fields(want.Front)
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if before[key] != after[key] {
			say("front", key, "the file has %s, the config %s", before[key], after[key])
		}
	}
	return out
}

// placed is a store with the account in which a module makes it, in a form that can be compared.
type placed struct{ account, text string }

func (v *Variables) byStore() map[string]placed {
	out := map[string]placed{}
	for _, g := range v.groups() {
		for account, stores := range g.accounts {
			for name, s := range stores {
				out[name] = placed{g.variable + " of " + account, string(encoded(s))}
			}
		}
	}
	return out
}

// fields returns the values of a JSON object as text.
func fields(v any) map[string]string {
	out := map[string]string{}
	text := encoded(v)
	if p, ok := v.(placed); ok {
		text = []byte(p.text)
		out["account"] = p.account
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil {
		panic(err) // it has just been encoded
	}
	for key, value := range values {
		out[key] = string(value)
	}
	return out
}

func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // no value of these types cannot be encoded
	}
	return text
}

// Count returns how many findings have a result.
func Count(all []Finding, r Result) (n int) {
	for _, f := range all {
		if f.Result == r {
			n++
		}
	}
	return n
}

// Remedies returns each remedy once, after the targets and things that it is for. At most three are named. Findings
// that are fine have no remedy.
func Remedies(all []Finding) []string {
	var order []string
	who := map[string][]string{}
	for _, f := range all {
		if f.Remedy == "" || f.Result == OK {
			continue
		}
		if who[f.Remedy] == nil {
			order = append(order, f.Remedy)
		}
		who[f.Remedy] = append(who[f.Remedy], f.Target+" "+f.What)
	}
	var out []string
	for _, remedy := range order {
		names, more := who[remedy], ""
		if n := len(names); n > 3 {
			names, more = names[:3], fmt.Sprintf(" and %d more", n-3)
		}
		out = append(out, strings.Join(names, ", ")+more+": "+remedy)
	}
	return out
}
