package edge

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Policy is the part of a Cloud Armor security policy that decides on paths. The modules in deploy/terraform read it
// as `edge_rules`.
type Policy struct {
	Rules         []Rule `json:"rules"`
	DefaultAction string `json:"default_action"`
}

// Rule is one rule of a [Policy]. Cloud Armor takes the matching rule with the lowest number.
type Rule struct {
	Priority    int    `json:"priority"`
	Action      string `json:"action"`
	Expression  string `json:"expression"` // in Google's rules language, a subset of CEL
	Description string `json:"description"`
}

// The rules begin at this priority and are this far apart, so that operators can put their own between and before them.
const firstPriority, priorityStep = 1000, 10

// CloudArmor returns rules that let the routes through and nothing else. An error names the limit that they exceed.
func CloudArmor(routes []Route) (Policy, error) {
	p := Policy{DefaultAction: "deny(404)"}
	for _, group := range groups(routes) {
		pattern, err := either(group.routes)
		if err != nil {
			return p, err
		}
		p.Rules = append(p.Rules, Rule{
			Priority: firstPriority + priorityStep*len(p.Rules), Action: "allow", Description: group.what,
			Expression: "request.method.matches('^(?:GET|HEAD)$') && request.path.matches('" + pattern + "')",
		})
	}
	return p, p.Check()
}

type group struct {
	what   string
	routes []Route
}

// groups splits routes so that each part is well below Cloud Armor's limits: the registry API, and the rest.
func groups(routes []Route) (list []group) {
	api, rest := group{what: "oci-proxy: registry API"}, group{what: "oci-proxy: pages"}
	for _, r := range routes {
		switch {
		case strings.HasPrefix(r.Path, "/v2/"):
			api.routes = append(api.routes, r)
		default:
			rest.routes = append(rest.routes, r)
		}
	}
	if len(api.routes) == 0 {
		rest.what = "oci-proxy: blobs and inventory of a store"
	}
	for _, g := range []group{api, rest} {
		if len(g.routes) > 0 {
			list = append(list, g)
		}
	}
	return list
}

// ParsePolicy reads what [CloudArmor] returned, perhaps with rules that operators added.
func ParsePolicy(text []byte) (Policy, error) {
	var p Policy
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("read rules: %w", err)
	}
	return p, nil
}
