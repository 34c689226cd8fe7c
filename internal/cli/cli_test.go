package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	cause := errors.New("open x.yaml: no such file")
	tests := []struct {
		name   string
		err    error
		format Format
		want   string
		code   int
	}{
		{"nothing", nil, Text, "", 0},
		{"plain", cause, Text, "oci-proxy: open x.yaml: no such file\n", 1},
		{"hint", Fail("name it with --config", "read config: %w", cause), Text,
			"oci-proxy: read config: open x.yaml: no such file\nhint: name it with --config\n", 1},
		{"usage", Usage("see --help", "unknown flag"), Text, "oci-proxy: unknown flag\nhint: see --help\n", 2},
		{"wrapped", fmt.Errorf("serve: %w", Usage("h", "bad")), Text, "oci-proxy: serve: bad\nhint: h\n", 2},
		{"shown", Exit(CodeInvalid), Text, "", 3},
		{"json", Usage("a <b>", "bad"), JSON, `{"error":{"message":"bad","hint":"a <b>","code":2}}` + "\n", 2},
		{"json without hint", cause, JSON, `{"error":{"message":"open x.yaml: no such file","code":1}}` + "\n", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			code := Report(&b, "oci-proxy", tt.format, tt.err)
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if code != tt.code || Code(tt.err) != tt.code {
				t.Errorf("code = %d, Code() = %d, want %d", code, Code(tt.err), tt.code)
			}
		})
	}
	if !errors.Is(Fail("", "x: %w", cause), cause) {
		t.Error("the cause is lost")
	}
}

func TestTable(t *testing.T) {
	fill := func(color bool) string {
		tb := Table{Header: []string{"STORE", "RESULT", "DETAIL"}, Color: color, Painted: 1,
			Paint: func(cell string) Color {
				if cell == "error" {
					return Red
				}
				return Plain
			}}
		tb.Row("s3-use1", "ok", "")
		tb.Row("zürich", "error", "two\nlines\x1b[31m")
		var b bytes.Buffer
		if _, err := tb.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := "STORE    RESULT  DETAIL\ns3-use1  ok\nzürich   error   two lines [31m\n"
	if diff := cmp.Diff(want, fill(false)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want = "STORE    \x1b[39mRESULT\x1b[39m  DETAIL\n" +
		"s3-use1  \x1b[39mok\x1b[39m\n" +
		"zürich   \x1b[31merror\x1b[39m   two lines [31m\n"
	if diff := cmp.Diff(want, fill(true)); diff != "" {
		t.Errorf("coloured (-want +got)\n%s", diff)
	}
}

// A sentence that is too long for a cell is printed below the table, once. A digest or a list is not cut.
func TestTableLongCells(t *testing.T) {
	long := strings.Repeat("why it failed ", 30)
	digest := strings.Repeat("0", 200)
	tb := Table{Header: []string{"STORE", "FAULT"}}
	tb.Row("a", long)
	tb.Row("a", long)
	tb.Row("b", digest)
	tb.List("c", strings.Repeat("word ", 50))
	for range 100 {
		tb.Row(fmt.Sprint("d", tb.Len()), long)
	}
	var b bytes.Buffer
	if _, err := tb.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if got := len([]rune(lines[1])); got > 3+2+maxCell || !strings.HasSuffix(lines[1], " …") || lines[1] != lines[2] {
		t.Errorf("%d characters: %s", got, lines[1])
	}
	if !strings.HasSuffix(lines[3], digest) || len(lines[4]) < 200 {
		t.Errorf("%s\n%s", lines[3], lines[4])
	}
	whole := slices.Index(lines, "a: "+strings.TrimSpace(long))
	if whole != 105 || len(lines) != 1+104+maxLines+1 {
		t.Errorf("the sentence is in line %d of %d:\n%s", whole, len(lines), b.String())
	}
}

func TestFormat(t *testing.T) {
	var f Format
	if f.String() != "text" {
		t.Errorf("default = %q", f.String())
	}
	if err := f.Set("yaml"); err == nil || f.String() != "text" {
		t.Errorf("Set(yaml) = %v, format %q", err, f)
	}
	if err := f.Set("json"); err != nil || f != JSON {
		t.Errorf("Set(json) = %v, format %q", err, f)
	}
}

func TestColor(t *testing.T) {
	env := func(string) string { return "" }
	if UseColor(&bytes.Buffer{}, env) {
		t.Error("colour in a buffer")
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if IsTerminal(file) {
		t.Error("a regular file is no terminal")
	}
	if got := Red.In("x", false); got != "x" {
		t.Errorf("In(off) = %q", got)
	}
	if got := Red.In("x", true); got != "\x1b[31mx\x1b[39m" {
		t.Errorf("In(on) = %q", got)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if IsInteractive(null) || IsInteractive(file) || IsInteractive(strings.NewReader("")) {
		t.Error("nobody types at the null device, a file or a reader")
	}
	// The null device replaces a terminal here: both are character devices.
	if UseColor(null, func(k string) string { return map[string]string{"NO_COLOR": "1"}[k] }) {
		t.Error("NO_COLOR is not honoured")
	}
	if !UseColor(null, env) {
		t.Error("no colour on a character device")
	}
}
