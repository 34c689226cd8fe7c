package main

import (
	"bytes"
	"fmt"
	"strings"

	"ociproxy/internal/config"
)

const intro = `<!-- Generated from the comments in internal/config: run go generate ./internal/config, do not edit. -->

# Configuration reference

One YAML file configures both binaries. Reading it is strict: an unknown key, a missing one, a name that does not exist are
errors. ` + "`oci-proxy check FILE`" + ` tells all of them at once, with line, column and a hint; ` + "`check --print`" + ` shows the
effective configuration with every default filled in.

- **Secrets are never in the file.** A URL with a password or a signature is refused. Registries and stores are read
  anonymously; ` + "`oci-proxyctl`" + ` takes its credentials from its environment.
- **Reload**: the server reads the file again when it changes and on SIGHUP. A file with an error changes nothing.
- **Durations** have a unit: ` + "`300ms`, `60s`, `5m`, `6h`" + `. **Places** are ` + "`cloud/region`" + `, such as ` + "`aws/us-east-1`" + `; [places.md](places.md)
  lists how to add one. **File names** are relative to the directory of this file. **Prices** are US cents per GB.
- YAML anchors, aliases and ` + "`<<`" + ` work. Editors check the file against [config.schema.json](config.schema.json).

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
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", heading(s), about)
		if s.Short {
			fmt.Fprintf(&b, "\nOne word is short for `%s` alone.\n", s.Keys[0].Name)
		}
		b.WriteString("\n| key | value | default | meaning |\n|---|---|---|---|\n")
		for _, k := range s.Keys {
			text, err := c.of(s.Type, k.Field)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Name, cell(value(k)), defaults(k), cell(text))
		}
	}
	return b.Bytes(), nil
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
		want = "`" + strings.Join(k.Enum, "` `") + "`"
	}
	switch {
	case k.Map != "":
		return "by " + strings.TrimPrefix(k.Map, "a ") + ": " + want
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

func defaults(k config.Key) string {
	switch {
	case k.Required:
		return "**required**"
	case k.Default != "":
		return "`" + k.Default + "`"
	}
	return ""
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

// cell keeps a text from ending its table cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
