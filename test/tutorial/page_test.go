package tutorial

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ociproxy/test/parts"
)

// step is a command of a page and what the page says that it prints.
type step struct {
	command string
	prints  []string
}

var console = regexp.MustCompile("(?ms)^ *```console\n(.*?)^ *```$")

// steps returns the commands in the console blocks of a page, in order. A command begins with "$ ". It ends at the end
// of its line, unless there is a backslash, or at the END of its here-document.
func steps(t *testing.T, name string) []step {
	t.Helper()
	var all []step
	for _, block := range console.FindAllStringSubmatch(page(t, name), -1) {
		inside, document := false, false // of a command, of its here-document
		for line := range strings.Lines(dedent(block[1])) {
			line = strings.TrimSuffix(line, "\n")
			last := len(all) - 1
			switch command, isCommand := strings.CutPrefix(line, "$ "); {
			case inside:
				all[last].command += "\n" + line
				if document {
					inside = line != "END"
				} else {
					inside = strings.HasSuffix(line, "\\")
				}
			case isCommand:
				all = append(all, step{command: command})
				document = strings.Contains(command, "<<'END'")
				inside = document || strings.HasSuffix(command, "\\")
			case last < 0:
				t.Fatalf("%s: a block begins with output: %q", name, line)
			default:
				all[last].prints = append(all[last].prints, line)
			}
		}
		if inside {
			t.Fatalf("%s: a command has no end:\n%s", name, block[1])
		}
	}
	return all
}

// page returns the text of a page of docs.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts.Root(), "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dedent removes the indent of the first line from all lines.
func dedent(block string) string {
	indent := block[:len(block)-len(strings.TrimLeft(block, " "))]
	var out strings.Builder
	for line := range strings.Lines(block) {
		out.WriteString(strings.TrimPrefix(line, indent))
	}
	return out.String()
}

// varying is what differs from run to run. Both the page and the output get the word instead.
var varying = []struct {
	what *regexp.Regexp
	word string
}{
	{regexp.MustCompile(`sha256:[0-9a-f]+`), "sha256:DIGEST"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "DIGEST"},
	{regexp.MustCompile(`\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "DATE"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(h\d+m\d+s|m\d+s|ms|s|µs)\b`), "TIME"},
	{regexp.MustCompile(`\b\d+(\.\d+)? (ms|s)\b`), "TIME"},
	{regexp.MustCompile(`\b\d+ segments?\b`), "SEGMENTS"},                                              // of an inventory: how many depends on the time of its writes
	{regexp.MustCompile(`(?m)^((?:s3-laptop|s3-eus2|metal-berlin) .* [KM]iB +)\d+( +\d+)?$`), "${1}N"}, // the mirror's requests, which depend on that too
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d\b`), "DAY"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`), "CLOCK"},
	{regexp.MustCompile(`\brollout [a-z0-9]{8},`), "rollout ID,"},
	{regexp.MustCompile(`\(request [0-9A-Z]+\)`), "(request ID)"},
	{regexp.MustCompile(`\b\d+(\.\d+)? [KMG]?i?B/s`), "SPEED"},
	{regexp.MustCompile(`(?m)^(hint: )?speed.*\n?`), ""}, // of store admit: a busy machine is slow
	{regexp.MustCompile(`\bwith \d+ warnings?`), "with WARNINGS"},
	{regexp.MustCompile(`\b\d+ redirects\b`), "REDIRECTS"},
	{regexp.MustCompile(`(?m)^cost: \d+ requests, .*$`), "cost: COST"}, // of store admit
	{regexp.MustCompile(`sent them .* less\.`), "sent them BYTES"},
	{regexp.MustCompile(` +`), " "}, // the columns of a table are as wide as what is in them
}

// alike returns lines of output in the form in which they are compared.
func alike(lines []string) string {
	text := strings.Join(lines, "\n")
	for _, v := range varying {
		text = v.what.ReplaceAllString(text, v.word)
	}
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}
