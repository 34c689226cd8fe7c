package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func command(name string, flags func(*cobra.Command)) *cobra.Command {
	cmd := &cobra.Command{Use: name, RunE: func(*cobra.Command, []string) error { return nil }}
	if flags != nil {
		flags(cmd)
	}
	return cmd
}

func TestFlagFaults(t *testing.T) {
	tests := []struct {
		name     string
		a, b     func(*pflag.FlagSet)
		contains string // in the only fault; "" means no fault
	}{
		{"the same",
			func(f *pflag.FlagSet) { f.BoolP("all", "a", false, "all") },
			func(f *pflag.FlagSet) { f.BoolP("all", "a", false, "all") }, ""},
		{"another text",
			func(f *pflag.FlagSet) { f.Bool("all", false, "all") },
			func(f *pflag.FlagSet) { f.Bool("all", false, "everything") }, "b --all is"},
		{"another default",
			func(f *pflag.FlagSet) { f.Int("n", 1, "") },
			func(f *pflag.FlagSet) { f.Int("n", 2, "") }, "b --n is"},
		{"another type",
			func(f *pflag.FlagSet) { f.Int("n", 0, "") },
			func(f *pflag.FlagSet) { f.Int64("n", 0, "") }, "b --n is"},
		{"a letter here only",
			func(f *pflag.FlagSet) { f.BoolP("all", "a", false, "") },
			func(f *pflag.FlagSet) { f.Bool("all", false, "") }, "b --all is"},
		{"a letter twice",
			func(f *pflag.FlagSet) { f.BoolP("all", "a", false, "") },
			func(f *pflag.FlagSet) { f.BoolP("any", "a", false, "") }, "b -a is --any, elsewhere --all"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := &cobra.Command{Use: "x"}
			root.AddCommand(command("a", func(c *cobra.Command) { tt.a(c.Flags()) }), command("b", func(c *cobra.Command) { tt.b(c.Flags()) }))
			got := FlagFaults(root)
			if tt.contains == "" && got != nil || tt.contains != "" && (len(got) != 1 || !strings.Contains(got[0], tt.contains)) {
				t.Errorf("faults %q, want one with %q", got, tt.contains)
			}
		})
	}
}

// A command may have more formats than the others: --output still means the same there. Another text does not.
func TestMoreFormats(t *testing.T) {
	var plain, more Format
	root := &cobra.Command{Use: "x"}
	wide := command("b", func(c *cobra.Command) { OutputFlag(c, &more, JUnit, Markdown) })
	root.AddCommand(command("a", func(c *cobra.Command) { OutputFlag(c, &plain) }), wide)
	if faults := FlagFaults(root); faults != nil {
		t.Errorf("faults: %q", faults)
	}
	if usage := wide.Flag("output").Usage; usage != "`format` of the output: text, json, junit or markdown" {
		t.Errorf("usage: %s", usage)
	}
	if err := wide.Flag("output").Value.Set("junit"); err != nil || more != JUnit {
		t.Errorf("junit: %v, %q", err, more)
	}
	if err := wide.Flag("output").Value.Set("yaml"); err == nil || err.Error() != "want text, json, junit or markdown" {
		t.Errorf("yaml: %v", err)
	}
	if err := root.Commands()[0].Flag("output").Value.Set("junit"); err == nil || err.Error() != "want text or json" {
		t.Errorf("junit for a command that does not have it: %v", err)
	}
	wide.Flag("output").Usage = "`file` for the output"
	if faults := FlagFaults(root); len(faults) != 1 {
		t.Errorf("another meaning: %q", faults)
	}
}

func TestExitFaults(t *testing.T) {
	bits := func(codes ...int) (out []ExitCode) {
		for _, c := range codes {
			out = append(out, ExitCode{Code: c})
		}
		return out
	}
	tests := []struct {
		name    string
		declare func(*cobra.Command)
		want    string // part of the first fault; "" means no fault
	}{
		{"none", nil, "must tell its exit codes"},
		{"the common ones", func(c *cobra.Command) { Exits(c) }, ""},
		{"all", func(c *cobra.Command) { Exits(c, bits(0, 1, 2, 3, 4, 5)...) }, ""},
		{"a new one", func(c *cobra.Command) { Exits(c, bits(6)...) }, "6 is no code"},
		{"a sum", func(c *cobra.Command) { ExitsSum(c, Sum{Classes: bits(1, 4, 8, 128)}) }, ""},
		{"a sum that may be 2", func(c *cobra.Command) { ExitsSum(c, Sum{Classes: bits(2, 8)}) }, "the sum 2 "},
		{"with an end it may not", func(c *cobra.Command) { ExitsSum(c, Sum{Classes: bits(1, 2), Ends: bits(32, 64)}) }, ""},
		{"two bits", func(c *cobra.Command) { ExitsSum(c, Sum{Classes: bits(24)}) }, "24 is not one bit"},
		{"one bit twice", func(c *cobra.Command) { ExitsSum(c, Sum{Classes: bits(8), Ends: bits(8)}) }, "8 is not one bit"},
		{"more than a byte", func(c *cobra.Command) { ExitsSum(c, Sum{Classes: bits(256)}) }, "256 is not one bit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := &cobra.Command{Use: "x"}
			root.AddCommand(command("a", tt.declare))
			got := strings.Join(ExitFaults(root), "\n")
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("faults %q, want %q", got, tt.want)
			}
		})
	}
	group := &cobra.Command{Use: "x"}
	group.AddCommand(command("a", func(c *cobra.Command) { Exits(c) }))
	Exits(group)
	if got := ExitFaults(group); len(got) != 1 {
		t.Errorf("a group with exit codes: %q", got)
	}
}

// A command that can work without a config does so when no file is named and there is none at the default place.
func TestOptionalConfig(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there.yaml")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, env string
		args      []string
		want      string
	}{
		{"named", "", []string{"--config", "gone.yaml"}, "gone.yaml"},
		{"none", there, []string{"--config", ""}, ""},
		{"of the environment", "gone.yaml", nil, "gone.yaml"},
		{"named, where the default is", "", []string{"--config", DefaultConfig}, DefaultConfig},
	}
	if missing(DefaultConfig) {
		tests = append(tests, struct {
			name, env string
			args      []string
			want      string
		}{"nobody says", "", nil, ""})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var file string
			cmd := command("a", func(c *cobra.Command) {
				OptionalConfigFlag(c, &file, func(string) string { return tt.env })
			})
			cmd.SetArgs(tt.args)
			if err := cmd.ExecuteContext(t.Context()); err != nil || file != tt.want {
				t.Errorf("config %q, %v; want %q", file, err, tt.want)
			}
		})
	}
	if missing(there) || !missing(there+".not") {
		t.Error("a file that is there is missing, or the other way round")
	}
}
