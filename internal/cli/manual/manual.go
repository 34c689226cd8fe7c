// Package manual writes the manual pages and the shell completions of a program from its commands.
//
// Only the release build uses it: each program has a file with the build tag manual. Without the tag a program does not
// link it. It knows commands and the folders of packages. It must not know what any command does.
package manual

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"ociproxy/internal/atomicfile"
)

// Where the files of [Write] lie below its directory.
const (
	Pages = "man"  // PROGRAM-COMMAND.1
	Bash  = "bash" // PROGRAM
	Zsh   = "zsh"  // _PROGRAM
	Fish  = "fish" // PROGRAM.fish
)

// Write writes below dir a manual page for root and for each command below it, and completions for bash, zsh and fish.
// The pages carry date. The same commands and date give the same bytes.
func Write(root *cobra.Command, dir string, date time.Time) error {
	for _, sub := range []string{Pages, Bash, Zsh, Fish} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	root.DisableAutoGenTag = true // that tag has the time of the build
	if err := pages(root, filepath.Join(dir, Pages), date); err != nil {
		return err
	}
	name := root.Name()
	for file, generate := range map[string]func(io.Writer) error{
		filepath.Join(Bash, name):         func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		filepath.Join(Zsh, "_"+name):      root.GenZshCompletion,
		filepath.Join(Fish, name+".fish"): func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		var text bytes.Buffer
		if err := generate(&text); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := write(filepath.Join(dir, file), text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func pages(cmd *cobra.Command, dir string, date time.Time) error {
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			if err := pages(below, dir, date); err != nil {
				return err
			}
		}
	}
	root := cmd.Root()
	header := doc.GenManHeader{Section: "1", Date: &date, Manual: root.Name(), Source: root.Name() + " " + root.Version}
	var text bytes.Buffer
	if err := doc.GenMan(cmd, &header, &text); err != nil {
		return fmt.Errorf("page of %s: %w", cmd.CommandPath(), err)
	}
	text.WriteString(exits(cmd))
	return write(filepath.Join(dir, Page(cmd)), text.Bytes())
}

// Page returns the name of the file with the page of cmd.
func Page(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
}

// exits returns the section with the exit codes, which cobra does not know.
func exits(cmd *cobra.Command) string {
	text := cmd.Annotations["exits"]
	if text == "" {
		return ""
	}
	_, text, _ = strings.Cut(text, "\n") // "Exit codes:" is the heading of the section
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'").Replace(text)
	return ".SH EXIT STATUS\n.nf\n" + text + "\n.fi\n"
}

func write(file string, text []byte) error {
	return atomicfile.Write(file, text, 0o644)
}

// Main is a program that writes the files of root into the directory that args names, and returns its exit code. The
// date of the pages is SOURCE_DATE_EPOCH from the environment, in seconds since 1970.
func Main(root *cobra.Command, args []string, getenv func(string) string, stderr io.Writer) int {
	if err := run(root, args, getenv); err != nil {
		fmt.Fprintf(stderr, "%s: manual: %v\n", root.Name(), err)
		return 1
	}
	return 0
}

func run(root *cobra.Command, args []string, getenv func(string) string) error {
	if len(args) != 1 {
		return errors.New("name one directory for the pages and completions")
	}
	epoch, err := strconv.ParseInt(getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w (hint: git log -1 --format=%%ct)", err)
	}
	return Write(root, args[0], time.Unix(epoch, 0).UTC())
}
