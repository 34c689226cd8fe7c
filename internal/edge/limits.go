package edge

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Limits of Cloud Armor. Five subexpressions: https://cloud.google.com/armor/docs/rules-language-reference. The lengths
// and the quota: https://cloud.google.com/armor/quotas. The quota is what a new project has, over all its policies; it can
// be raised. The description: Terraform's google_compute_security_policy.
const (
	maxSubexpressions   = 5
	maxExpression       = 2048 // characters
	maxSubexpression    = 1024 // characters
	maxAdvancedRules    = 20
	maxRuleDescription  = 64 // characters
	maxPriority         = 1<<31 - 2
	cloudArmorLimitPage = "https://cloud.google.com/armor/quotas"
)

// Limits of CloudFront Functions: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
const (
	maxFunction         = 10 << 10 // bytes
	cloudFrontLimitPage = "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html"
)

// maxWord is the longest parameter that nginx reads: its buffer for a configuration file (NGX_CONF_BUFFER), with room
// for the quotes.
const maxWord = 4096 - 2

var (
	denials  = []string{"deny(403)", "deny(404)", "deny(429)", "deny(502)"}
	literals = regexp.MustCompile(`[.]matches[(]'((?:[^'\\]|\\.)*)'[)]|[.]matches[(]"((?:[^"\\]|\\.)*)"[)]`)
)

// Check returns all limits of Cloud Armor that the rules exceed, one error for each. It counts only these rules against
// the quota: the policies of a project share it.
func (p Policy) Check() error {
	var errs []error
	if len(p.Rules) > maxAdvancedRules {
		errs = append(errs, fmt.Errorf("%d rules with an expression, and a project has a quota of %d (SECURITY_POLICY_CEVAL_RULES, %s)",
			len(p.Rules), maxAdvancedRules, cloudArmorLimitPage))
	}
	seen := map[int]bool{}
	for _, r := range p.Rules {
		if err := r.check(); err != nil {
			errs = append(errs, fmt.Errorf("rule %d: %w", r.Priority, err))
		}
		if seen[r.Priority] {
			errs = append(errs, fmt.Errorf("rule %d: another rule has this priority", r.Priority))
		}
		seen[r.Priority] = true
	}
	if p.DefaultAction != "allow" && !slices.Contains(denials, p.DefaultAction) {
		errs = append(errs, fmt.Errorf("default action %q: want allow, or one of %s", p.DefaultAction, strings.Join(denials, ", ")))
	}
	return errors.Join(errs...)
}

func (r Rule) check() error {
	var errs []error
	over := func(what string, is, most int) {
		if is > most {
			errs = append(errs, fmt.Errorf("%s: %d, at most %d (%s)", what, is, most, cloudArmorLimitPage))
		}
	}
	parts := subexpressions(r.Expression)
	over("subexpressions", len(parts), maxSubexpressions)
	over("characters of the expression", len([]rune(r.Expression)), maxExpression)
	over("characters of the description", len([]rune(r.Description)), maxRuleDescription)
	for i, part := range parts {
		over(fmt.Sprintf("characters of subexpression %d", i+1), len([]rune(part)), maxSubexpression)
	}
	if r.Priority < 0 || r.Priority > maxPriority {
		errs = append(errs, fmt.Errorf("priority: want 0 to %d", maxPriority))
	}
	if strings.HasPrefix(r.Action, "deny") && !slices.Contains(denials, r.Action) {
		errs = append(errs, fmt.Errorf("action %q: want one of %s", r.Action, strings.Join(denials, ", ")))
	}
	for _, m := range literals.FindAllStringSubmatch(r.Expression, -1) {
		if err := re2(m[1] + m[2]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// subexpressions splits an expression of Cloud Armor at && and ||, but not inside its strings.
func subexpressions(expression string) (list []string) {
	begin, quote := 0, byte(0)
	for i := 0; i < len(expression); i++ {
		switch c := expression[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case strings.HasPrefix(expression[i:], "&&") || strings.HasPrefix(expression[i:], "||"):
			list = append(list, strings.TrimSpace(expression[begin:i]))
			begin, i = i+2, i+1
		}
	}
	return append(list, strings.TrimSpace(expression[begin:]))
}

// forbidden are what CloudFront's JavaScript runtime 2.0 does not have: code from text, timers, the network, and
// look-behind in regular expressions.
var forbidden = []string{"eval(", "new Function", "setTimeout", "setInterval", "XMLHttpRequest", "fetch(", "(?<=", "(?<!"}

// CheckFunction returns an error when CloudFront would not take code as a function of its runtime 2.0.
func CheckFunction(code []byte) error {
	var errs []error
	if len(code) > maxFunction {
		errs = append(errs, fmt.Errorf("function size: %d bytes, at most %d (%s)", len(code), maxFunction, cloudFrontLimitPage))
	}
	if !strings.Contains(string(code), "function handler(") {
		errs = append(errs, errors.New("no function named handler"))
	}
	for _, word := range forbidden {
		if strings.Contains(string(code), word) {
			errs = append(errs, fmt.Errorf("%q: CloudFront's runtime 2.0 does not have it", word))
		}
	}
	return errors.Join(errs...)
}

// checkWord refuses a parameter that nginx cannot read.
func checkWord(word string) error {
	if len(word) > maxWord {
		return fmt.Errorf("pattern: %d bytes, and nginx reads at most %d (NGX_CONF_BUFFER)", len(word), maxWord)
	}
	return nil
}
