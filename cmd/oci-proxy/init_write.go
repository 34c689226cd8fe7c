package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/check"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/setup"
	"ociproxy/internal/usable"
)

// started is the document of init --output json. Only add fields; never remove one.
type started struct {
	File     string                  `json:"file,omitempty"` // what was written; nothing with --dry-run
	Config   string                  `json:"config"`         // the text of the file
	Warnings []string                `json:"warnings"`
	Stores   map[string]config.State `json:"stores"`         // the state that each store got
	Live     *check.Report           `json:"live,omitempty"` // nothing with --no-probe
	Next     []string                `json:"next,omitempty"` // the commands to run next; nothing with --dry-run

	draft *setup.Draft
}

// finishInit shows what the probe found, checks the config as check does, writes it, and says what to do next.
func (a *app) finishInit(in initial, doc started) error {
	if doc.Live != nil && a.format != cli.JSON {
		if err := doc.Live.WriteText(a.stderr, cli.UseColor(a.stderr, a.env)); err != nil {
			return err
		}
		fmt.Fprintln(a.stderr)
	}
	if doc.Live != nil {
		if err := doc.draft.Refusal(doc.Live); err != nil {
			return err
		}
	}
	text, err := doc.draft.Render()
	if err != nil {
		return err
	}
	doc.Config, doc.Stores, doc.Warnings = string(text), doc.draft.States(), append([]string{}, doc.draft.Warnings()...)
	faults, err := a.judge(in.file, text)
	if err != nil {
		return a.invalid(err)
	}
	for _, w := range faults {
		doc.Warnings = append(doc.Warnings, w.Error())
	}
	if in.dryRun {
		doc.File = ""
	} else {
		if err := write(in.file, text, in.force); err != nil {
			return err
		}
		doc.Next = doc.draft.Next(in.file)
	}
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	for _, w := range doc.draft.Warnings() {
		fmt.Fprintf(a.stderr, "warning: %s\n", w)
	}
	a.tell("warning: ", faults)
	if in.dryRun {
		_, err := a.stdout.Write(text)
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s is written.\n\nNext:\n  %s\n", in.file, strings.Join(doc.Next, "\n  "))
	return err
}

// judge checks the text of a config as check does. It returns the warnings.
func (a *app) judge(file string, text []byte) ([]*config.Error, error) {
	cfg, err := config.ParseIn(filepath.Dir(file), file, text)
	if err != nil {
		return nil, err
	}
	cfg.DefaultSeed(a.env(config.SeedVariable))
	snap, err := usable.Check(cfg, true)
	if err != nil {
		return nil, err
	}
	doc, err := examined(file, cfg, snap, true, time.Now())
	return doc.Warnings, err
}

// fileMode lets the user of the server read the config. It has no secrets.
const fileMode = 0o644

// writable returns the file to write, behind symbolic links. It fails when the file exists, unless force is true, or
// when it cannot be written: before anybody is asked anything.
func writable(file string, force bool) (string, error) {
	if file == "-" || file == "" {
		return "", cli.Usage("use --dry-run to print the config to stdout", "FILE must be the name of a file")
	}
	if _, err := os.Lstat(file); err == nil && !force {
		return "", exists(file)
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() { // a file would take the place of a device
		return "", cli.Fail("name a file that you may write: oci-proxy init config.yaml", "%s is not a file", file)
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	f, err := atomicfile.Create(file, fileMode)
	if err != nil {
		return "", unwritable(file, err)
	}
	return file, f.Abort()
}

func write(file string, text []byte, force bool) error {
	f, err := atomicfile.Create(file, fileMode)
	if err != nil {
		return unwritable(file, err)
	}
	defer func() { _ = f.Abort() }() // does nothing after a commit
	if _, err := f.Write(text); err != nil {
		return unwritable(file, err)
	}
	if force {
		err = f.Commit()
	} else {
		err = f.CommitNew()
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return exists(file)
	case err != nil:
		return unwritable(file, err)
	}
	return nil
}

func exists(file string) error {
	return cli.Fail("name another file, or overwrite it with --force", "%s exists already", file)
}

func unwritable(file string, err error) error {
	hint := "name a file that you may write: oci-proxy init config.yaml"
	if dir := filepath.Dir(file); errors.Is(err, fs.ErrNotExist) {
		hint = "make the directory " + dir + " first, or " + hint
	}
	return cli.Fail(hint, "write %s: %w", file, err)
}

// cacheDir returns the directory for ranges.cache: that of the service for root and whoever may write there, else one
// below the user's own directory for caches, so that the user can run the server at once. "" means that there is none.
func (a *app) cacheDir() string {
	if os.Geteuid() == 0 {
		return setup.ServiceCache
	}
	if f, err := atomicfile.Create(filepath.Join(setup.ServiceCache, "init"), fileMode); err == nil {
		_ = f.Abort() // nothing was written
		return setup.ServiceCache
	}
	for _, dir := range []string{a.env("XDG_CACHE_HOME"), filepath.Join(a.env("HOME"), ".cache")} {
		if filepath.IsAbs(dir) {
			return filepath.Join(dir, "oci-proxy")
		}
	}
	return ""
}
