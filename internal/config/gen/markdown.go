package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"ociproxy/internal/config"
)

const intro = `<!-- Generated from the comments in internal/config: run go generate ./internal/config, do not edit. -->

# Configuration reference

This page explains every key of the config file. One YAML file configures both programs. Reading is
strict: an unknown key, a missing key, or a name that does not exist is an error.
` + "`oci-proxy check FILE`" + ` reports all errors at once, with line, column and a hint. ` + "`check --print`" + `
shows the effective configuration with every default filled in.

- **Secrets are never in the file.** The programs refuse a URL with a password or a signature. They
  read registries and stores anonymously. ` + "`oci-proxyctl`" + ` takes its credentials from its environment.
- **Reload**: the server reads the file again when it changes and on SIGHUP. If the file has an
  error, the server keeps the old configuration.
- **Durations** have a unit: ` + "`300ms`, `60s`, `5m`, `6h`" + `.
- **Places** are ` + "`cloud/region`" + `, such as ` + "`aws/us-east-1`" + `. [places.md](places.md) says how to add
  one.
- **File names** are relative to the directory of this file.
- **Prices** are US cents per GB or GiB, whichever the provider bills by.
- YAML anchors, aliases and ` + "`<<`" + ` work. Editors can check the file against
  [config.schema.json](config.schema.json).

The smallest useful file (more in [examples](../examples)):

`

// reference writes docs/config.md.
func reference(c comments, example string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(intro)
	fmt.Fprintf(&b, "```yaml\n%s```\n", example)
	for _, s := range config.Describe() {
		about, err := c.of(s.Type, "")
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s", heading(s), wrapped("", "", about))
		if s.Short {
			fmt.Fprintf(&b, "\nYou can write one word instead of the keys. It is the value of `%s`.\n", s.Keys[0].Name)
		}
		b.WriteString("\n")
		for _, k := range s.Keys {
			text, err := c.of(s.Type, k.Field)
			if err != nil {
				return nil, err
			}
			b.WriteString(wrapped("- ", "  ", fmt.Sprintf("**`%s`** (%s): %s", k.Name, facts(k), text)))
		}
	}
	return b.Bytes(), nil
}

// columns is the width of the page.
const columns = 100

// unbroken is what stands on one line: code, links and words.
var unbroken = regexp.MustCompile("(?:`[^`]*`|\\[[^\\]]*\\]\\([^)]*\\)|[^\\s`])+")

// wrapped breaks a text into lines that fit on the page. The first one begins with first, the others with rest.
func wrapped(first, rest, text string) string {
	var b strings.Builder
	line, empty := first, true
	for _, word := range unbroken.FindAllString(text, -1) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			b.WriteString(line + "\n")
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	b.WriteString(line + "\n")
	return b.String()
}

func heading(s config.Stanza) string {
	if s.Paths[0] == "" {
		return "The top"
	}
	all := make([]string, len(s.Paths))
	for i, p := range s.Paths {
		all[i] = "`" + p + "`"
	}
	return strings.Join(all, ", ")
}

func value(k config.Key) string {
	want := k.Want
	if k.Stanza != "" {
		for _, s := range config.Describe() {
			if s.Type == k.Stanza {
				want = fmt.Sprintf("[keys](#%s)", anchor(heading(s)))
			}
		}
	}
	if len(k.Enum) > 0 && !k.OneWord {
		want = "`" + strings.Join(k.Enum, "`, `") + "`"
	}
	switch {
	case k.Map != "":
		return "map from " + strings.TrimPrefix(k.Map, "a ") + " to " + strings.TrimPrefix(want, "a ")
	case k.List && !k.OneWord:
		return "list of " + strings.TrimPrefix(want, "a ") + plural(k)
	}
	return strings.TrimPrefix(want, "a ")
}

func plural(k config.Key) string {
	if k.Stanza != "" || len(k.Enum) > 0 {
		return ""
	}
	return "s"
}

// facts are what a key holds, and what it is when the file does not say.
func facts(k config.Key) string {
	switch {
	case k.Required:
		return value(k) + ", required"
	case k.Default != "":
		return value(k) + ", default `" + k.Default + "`"
	}
	return value(k)
}

// anchor is the fragment that GitHub makes of a heading.
func anchor(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}
