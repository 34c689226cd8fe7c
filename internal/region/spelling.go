package region

import (
	"regexp"
	"strings"

	"ociproxy/internal/place"
)

// words are the parts of regions' names that people shorten, with the short form. The first part of a name is a
// continent or a country, which keeps its two letters.
var words = map[string]string{
	"north": "n", "south": "s", "east": "e", "west": "w", "central": "c",
	"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw", "gov": "gov",
	"europe": "eu", "asia": "as", "northamerica": "na", "southamerica": "sa", "australia": "au", "africa": "af",
}

var numbered = regexp.MustCompile(`^([a-z]+)([0-9]*)$`)

// spellings returns how people write a region in the names of buckets and stores: us-east-1, useast1, use1. The list
// has the same kinds in the same order for each region. A kind that a region does not have is "".
func spellings(p place.Place) []string {
	return []string{p.Region, strings.ReplaceAll(p.Region, "-", ""), short(p.Region)}
}

// short returns the form like use1; "" when a part of the name has no usual one.
func short(region string) string {
	var out strings.Builder
	parts := strings.Split(region, "-")
	for i, part := range parts {
		m := numbered.FindStringSubmatch(part)
		switch {
		case m == nil && i > 0 && strings.Trim(part, "0123456789") == "":
			out.WriteString(part)
		case m == nil:
			return ""
		case words[m[1]] != "":
			out.WriteString(words[m[1]] + m[2])
		case i == 0 && len(parts) > 1 && len(m[1]) == 2:
			out.WriteString(part)
		default:
			return ""
		}
	}
	if out.String() == region {
		return ""
	}
	return out.String()
}

// respell replaces the spellings of one region by those of another. A spelling counts where it is a word of its own.
func respell(text string, from, to place.Place) string {
	old, next := spellings(from), spellings(to)
	var out strings.Builder
	for i := 0; i < len(text); {
		k := -1
		for j, s := range old {
			if s != "" && next[j] != "" && strings.HasPrefix(text[i:], s) && (k < 0 || len(s) > len(old[k])) &&
				(i == 0 || !alnum(text[i-1])) && (i+len(s) == len(text) || !alnum(text[i+len(s)])) {
				k = j
			}
		}
		if k < 0 {
			out.WriteByte(text[i])
			i++
			continue
		}
		out.WriteString(next[k])
		i += len(old[k])
	}
	return out.String()
}

func alnum(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
