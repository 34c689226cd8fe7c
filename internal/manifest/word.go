package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	yaml "go.yaml.in/yaml/v4"
)

// word returns the text that n is. What some reader of YAML takes for something else than the letters that stand there
// (1.20 for 1.2, on for true, null for nothing) is an error: nobody knows what was meant, and others read another tag.
func (p *parser) word(n *yaml.Node, what string) (string, bool) {
	at := n
	n = resolve(n)
	found, hint := kindName(n), ""
	if n.Kind == yaml.ScalarNode {
		taken := takenFor(n)
		if taken == "" {
			return n.Value, true
		}
		if n.Style&yaml.TaggedStyle != 0 {
			found, hint = fmt.Sprintf("%s %s", taken, strconv.Quote(shorten(n.Value))), "write it in quotes, without the tag "+n.Tag
		} else if n.Value != "" {
			found, hint = fmt.Sprintf("%s, which YAML reads as %s", shorten(n.Value), taken), "quote it: "+strconv.Quote(shorten(n.Value))
		} else {
			hint = "write it in quotes, or remove the place where it is missing"
		}
	}
	p.fault(at, RuleShape, hint, "expected %s, found %s", what, found)
	return "", false
}

// boolean returns true or false; everything else is reported, as the text "true" is, which others refuse.
func (p *parser) boolean(at *yaml.Node) (value, ok bool) {
	n := resolve(at)
	switch {
	case n.Kind != yaml.ScalarNode || isNull(n):
		p.fault(at, RuleShape, "write true, or remove the key", "expected true or false, found %s", kindName(n))
	case n.ShortTag() == "!!bool" && slices.Contains([]string{"true", "True", "TRUE"}, n.Value):
		return true, true
	case n.ShortTag() == "!!bool" && slices.Contains([]string{"false", "False", "FALSE"}, n.Value):
		return false, true
	default:
		p.fault(at, RuleShape, "write true, without quotes, or remove the key", "expected true or false, found %q", shorten(n.Value))
	}
	return false, false
}

// container returns the list or mapping that n is; false when it is something else, which is reported, or nothing.
func (p *parser) container(n *yaml.Node, kind yaml.Kind, what string) bool {
	switch tag := n.ShortTag(); {
	case n.Kind == yaml.AliasNode && n.Alias.Kind != yaml.ScalarNode:
		// Each use of an alias repeats what it stands for: a small file could say more than memory holds.
		p.fault(n, RuleShape, "write it out", "an alias can stand for a word only")
	case n.Kind == kind && tag != "!!map" && tag != "!!seq":
		p.fault(n, RuleShape, "remove the tag", "expected %s, found %s with the tag %s", what, kindName(n), shorten(n.Tag))
	case n.Kind == kind:
		return true
	case n.Kind == yaml.ScalarNode && isNull(n):
	default:
		p.fault(n, RuleShape, "", "expected %s, found %s", what, kindName(n))
	}
	return false
}

// keys calls yield for each key of a mapping that is a word, the first of each spelling.
func (p *parser) keys(n *yaml.Node, duplicateHint string, yield func(name string, key, value *yaml.Node)) {
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.ShortTag() == "!!merge" {
			p.fault(k, RuleShape, "write out what it stands for", "merge keys (<<) are not read")
			continue
		}
		name, ok := p.word(k, "a key")
		if !ok {
			continue
		}
		if line, dup := seen[name]; dup {
			p.fault(k, RuleDuplicateKey, duplicateHint, "duplicate key %q: line %d has it already", shorten(name), line)
			continue
		}
		seen[name] = k.Line
		yield(name, k, n.Content[i+1])
	}
}

// resolve follows aliases.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.ShortTag() == "!!null" }

func isNullNode(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && isNull(n) }

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return kindName(n.Alias)
	default:
		if isNull(n) {
			return "nothing"
		}
		return fmt.Sprintf("%q", shorten(n.Value))
	}
}

// takenFor is what readers of YAML take a scalar for, if not for the text that stands there; empty: for that.
func takenFor(n *yaml.Node) string {
	switch {
	case n.ShortTag() == "!!str" && n.Style&^yaml.FlowStyle != 0:
		return "" // in quotes, or said to be text
	case n.Style&yaml.TaggedStyle != 0:
		return "a value with the tag " + shorten(n.Tag)
	case n.ShortTag() == "!!null":
		return "nothing"
	}
	if taken := plainFor(n.Value); taken != "" {
		return taken
	}
	if n.ShortTag() != "!!str" {
		return "a value of the type " + n.ShortTag()
	}
	return ""
}

// kinds are the words that are no text without quotes, by YAML 1.2 or by 1.1, which many readers still follow.
var kinds = []struct {
	name string
	form *regexp.Regexp
}{
	{"nothing", regexp.MustCompile(`^(~|null|Null|NULL)?$`)},
	{"true or false", regexp.MustCompile(`^([yYnN]|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)},
	{"a number", regexp.MustCompile(`^[-+]?(0[bB][01_]+|0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])*)$`)},
	{"a number", regexp.MustCompile(`^[-+]?([0-9][0-9_]*(:[0-5]?[0-9])*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?$`)},
	{"a number", regexp.MustCompile(`^([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$`)},
	{"a date", regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t]+[0-9]{1,2}:.*)?$`)},
	{"a merge key", regexp.MustCompile(`^(<<|=)$`)},
}

// plainFor is what a word without quotes is taken for; empty: for itself.
func plainFor(s string) string {
	if s != "" && len(s) > 5 && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z') {
		return "" // as nearly all are: no need to ask
	}
	for _, k := range kinds {
		if k.form.MatchString(s) {
			return k.name
		}
	}
	return ""
}
