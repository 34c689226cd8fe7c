package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/cli"
	"ociproxy/internal/manifest"
)

// formatting holds the flags of promote fmt.
type formatting struct{ check, diff, write bool }

func (a *app) promoteFmt() *cobra.Command {
	var how formatting
	cmd := &cobra.Command{
		Use:   "fmt DIR|FILE…",
		Short: "Give manifests their canonical layout",
		Long: `fmt gives manifests their canonical layout: each digest on its own line, followed by its tags in
quotes, so that a promotion is a change of one line. It keeps the order of entries, their grouping
and all comments, and it does not change what a file means. FILE may be - for stdin.

Without a flag fmt prints the result of one file. With --check it writes nothing and lists the files
that differ. It does not touch a file that has errors; use promote check to see them.`,
		Example: `  oci-proxyctl promote fmt -w registry.example.org/
  oci-proxyctl promote fmt --check registry.example.org/
  oci-proxyctl promote fmt --diff images/pause/images.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if how.check && how.write {
				return cli.Usage("leave one out", "--check and --write exclude each other")
			}
			return a.runPromoteFmt(how, args)
		},
	}
	f := cmd.Flags()
	checkFlag(cmd, &how.check)
	f.BoolVar(&how.diff, "diff", false, "show the changes")
	f.BoolVarP(&how.write, "write", "w", false, "write the files back")
	fmtExits(cmd)
	return cmd
}

func (a *app) runPromoteFmt(how formatting, args []string) error {
	files, trees, err := manifestFiles(args)
	if err != nil {
		return err
	}
	if !how.check && !how.diff && !how.write && (trees || len(files) > 1) {
		return cli.Usage("add -w, --check or --diff", "the result of several files cannot be printed")
	}
	differ, broken := 0, 0
	for _, name := range files {
		before, err := a.readManifest(name)
		if err != nil {
			return err
		}
		after, err := manifest.Format(name, before)
		if err != nil {
			broken++
			fmt.Fprintln(a.stderr, err)
			continue
		}
		same := bytes.Equal(before, after)
		if !same {
			differ++
		}
		if err := a.formatted(how, name, before, after); err != nil {
			return err
		}
	}
	switch {
	case broken > 0:
		return &cli.Error{Err: fmt.Errorf("%s left alone", cli.Count(int64(broken), "file")), Hint: "fix the errors first", Code: cli.CodeInvalid}
	case how.check && differ > 0:
		return cli.Exit(cli.CodeDifferent)
	}
	return nil
}

// formatted handles one result as the flags require.
func (a *app) formatted(how formatting, name string, before, after []byte) error {
	same := bytes.Equal(before, after)
	if how.diff && !same {
		if _, err := a.stdout.Write(diff.Diff(name, before, name+" (formatted)", after)); err != nil {
			return err
		}
	}
	switch {
	case how.write && name == "-":
		return cli.Usage("leave out -w", "stdin cannot be written back")
	case how.write && !same:
		if err := rewrite(name, after); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		fmt.Fprintln(a.stdout, name)
	case how.check && !how.diff && !same:
		fmt.Fprintln(a.stdout, name)
	case !how.check && !how.diff && !how.write:
		_, err := a.stdout.Write(after)
		return err
	}
	return nil
}

// readManifest reads a file. If the file is too large, it reads only one byte more than allowed.
func (a *app) readManifest(name string) ([]byte, error) {
	from := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	return io.ReadAll(io.LimitReader(from, manifest.MaxBytes+1))
}

// manifestFiles returns the files that args name. For a directory, it returns the files of the tree in it.
func manifestFiles(args []string) (files []string, trees bool, err error) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case arg == "-":
			files = append(files, arg)
		case err != nil:
			return nil, false, err
		case !info.IsDir():
			files = append(files, arg)
		default:
			trees = true
			found, err := manifest.Files(arg)
			if err != nil {
				return nil, false, invalidManifests(err)
			}
			files = append(files, found...)
		}
	}
	if len(files) == 0 {
		return nil, false, cli.Fail("name a directory with "+manifest.ManifestsDir+"/ and "+manifest.ImagesDir+"/ in it", "no manifests found")
	}
	return files, trees, nil
}

// rewrite replaces the content of a file. Readers see either the old or the new content. It keeps the file's mode,
// and replaces the target of symbolic links, not the links.
func rewrite(name string, text []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	atomicfile.SweepFor(name)
	return atomicfile.Write(name, text, info.Mode().Perm())
}
