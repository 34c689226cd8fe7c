package edge_test

import (
	"strings"
	"testing"

	"ociproxy/internal/edge"
)

// TestRulesAreWithinLimits: all rules of all routes.
func TestRulesAreWithinLimits(t *testing.T) {
	store, err := edge.Store("/" + strings.Repeat("p", 40))
	if err != nil {
		t.Fatal(err)
	}
	for what, routes := range map[string][]edge.Route{"server": edge.Server(nil), "store": store} {
		policy, err := edge.CloudArmor(routes)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if what == "server" && len(policy.Rules) != 2 {
			t.Errorf("%d rules, want 2: each counts against a quota", len(policy.Rules))
		}
		for _, render := range []func() (string, error){
			func() (string, error) { return edge.Nginx(routes) },
			func() (string, error) { return edge.CloudFront(routes, what == "store") },
			func() (string, error) { return edge.VCL(routes, what == "store") },
		} {
			if _, err := render(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// TestLimits: each limit is reached, and its error names it.
func TestLimits(t *testing.T) {
	path := "request.path == '/x'"
	for _, test := range []struct {
		name, want string
		rules      []edge.Rule
	}{
		{"five", "", []edge.Rule{{Expression: strings.Join([]string{path, path, path, path, path}, " || ")}}},
		{"six", "subexpressions: 6, at most 5", []edge.Rule{{Expression: strings.Join([]string{path, path, path, path, path, path}, " || ")}}},
		{"operators in strings do not count", "", []edge.Rule{{Expression: `request.path.matches('a||b||c||d||e||f||g') && request.path != "&&\"&&&&&&&&&&"`}}},
		{"long part", "characters of subexpression 1: 1035, at most 1024", []edge.Rule{{Expression: "request.path == '" + strings.Repeat("x", 1018-1) + "'"}}},
		{"long expression", "characters of the expression: 2095, at most 2048", []edge.Rule{{Expression: strings.Repeat("request.path != '"+strings.Repeat("x", 1000)+"' && ", 2) + "request.path != '" + strings.Repeat("x", 33) + "'"}}},
		{"priority twice", "another rule has this priority", []edge.Rule{{Expression: path}, {Expression: path}}},
		{"no such denial", `action "deny(451)"`, []edge.Rule{{Expression: path, Action: "deny(451)"}}},
		{"look-ahead", "RE2 does not compile it", []edge.Rule{{Expression: "request.path.matches('(?=x)')"}}},
		{"repetition", "RE2 does not compile it", []edge.Rule{{Expression: "request.path.matches('a{1001}')"}}},
		{"description", "characters of the description: 65, at most 64", []edge.Rule{{Expression: path, Description: strings.Repeat("d", 65)}}},
		{"quota", "21 rules with an expression", many(21, path)},
		{"no quota", "", many(20, path)},
	} {
		err := edge.Policy{Rules: test.rules, DefaultAction: "deny(404)"}.Check()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if err := (edge.Policy{DefaultAction: "deny"}).Check(); err == nil {
		t.Error("a default action without a status is accepted")
	}
	const handler = "function handler(event) { return event.request; }\n"
	for code, want := range map[string]string{
		handler:                                 "",
		handler + strings.Repeat("/", 10<<10):   "function size: 10290 bytes, at most 10240",
		handler + "eval('')":                    "runtime 2.0 does not have it",
		"function main(event) { return event }": "no function named handler",
		handler + "const x = /(?<=a)b/;":        "runtime 2.0 does not have it",
	} {
		err := edge.CheckFunction([]byte(code))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", code, err, want)
		}
	}
}

func many(n int, expression string) (list []edge.Rule) {
	for i := range n {
		list = append(list, edge.Rule{Priority: i, Expression: expression})
	}
	return list
}

// TestTooManyRoutes: rules that grow beyond a limit are refused, and the error names it.
func TestTooManyRoutes(t *testing.T) {
	var routes []edge.Route
	for range 100 {
		routes = append(routes, edge.Route{Path: "/x", Pattern: "/" + strings.Repeat("x", 110)})
	}
	if _, err := edge.CloudArmor(routes); err == nil || !strings.Contains(err.Error(), "characters of subexpression 2") {
		t.Errorf("Cloud Armor: %v", err)
	}
	if _, err := edge.Nginx(routes); err == nil || !strings.Contains(err.Error(), "NGX_CONF_BUFFER") {
		t.Errorf("nginx: %v", err)
	}
	if _, err := edge.CloudFront(routes, false); err == nil || !strings.Contains(err.Error(), "function size") {
		t.Errorf("CloudFront: %v", err)
	}
	for _, pattern := range []string{`a\.b`, "a'b", `a"b`, "(?!a)"} {
		if _, err := edge.VCL([]edge.Route{{Pattern: pattern}}, false); err == nil {
			t.Errorf("the pattern %s is accepted", pattern)
		}
	}
}

// TestPurgeNeedsLogin: at Fastly anybody may purge a URL, unless a service demands a token.
func TestPurgeNeedsLogin(t *testing.T) {
	for _, store := range []bool{true, false} {
		routes := edge.Server(nil)
		if store {
			var err error
			if routes, err = edge.Store(""); err != nil {
				t.Fatal(err)
			}
		}
		text, err := edge.VCL(routes, store)
		if err != nil || !strings.Contains(text, `if (req.method == "FASTLYPURGE") {`) || !strings.Contains(text, `set req.http.Fastly-Purge-Requires-Auth = "1";`) {
			t.Errorf("store %v: %v\n%s", store, err, text)
		}
	}
}
