package manual

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func program() *cobra.Command {
	root := &cobra.Command{Use: "tool", Short: "Do things", Version: "v1.2.3"}
	below := &cobra.Command{
		Use: "below", Short: "Do one thing", Run: func(*cobra.Command, []string) {},
		Annotations: map[string]string{"exits": "Exit codes:\n  0  ok\n.dots and\n'quotes' and \\backslash"},
	}
	hidden := &cobra.Command{Use: "hidden", Short: "Secret", Hidden: true, Run: func(*cobra.Command, []string) {}}
	root.AddCommand(below, hidden)
	return root
}

// The program of the release build takes a directory from its arguments and a date from the environment. Its error says
// what is missing.
func TestMainProgram(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		args   []string
		epoch  string
		stderr string
	}{
		{nil, "0", "tool: manual: name one directory"},
		{[]string{dir}, "", "tool: manual: SOURCE_DATE_EPOCH: "},
		{[]string{filepath.Join(dir, "\x00")}, "0", "tool: manual: "},
		{[]string{dir}, "931000000", ""},
	} {
		var stderr bytes.Buffer
		code := Main(program(), tt.args, func(string) string { return tt.epoch }, &stderr)
		if (code == 0) != (tt.stderr == "") || !strings.Contains(stderr.String(), tt.stderr) {
			t.Errorf("%q with %q: code %d, %q, want %q", tt.args, tt.epoch, code, stderr.String(), tt.stderr)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, Pages, "tool-below.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"Jul 1999" "tool v1.2.3" "tool"`,
		"\n.SH EXIT STATUS\n.nf\n  0  ok\n\\&.dots and\n\\&'quotes' and \\ebackslash\n.fi\n",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, Pages, "tool-hidden.1")); err == nil {
		t.Error("a hidden command has a page")
	}
}
