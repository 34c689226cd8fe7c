package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Build says what a binary was made from, as `version --output json` prints it.
type Build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// commit and commitTime are set by `make build` and by the release build. The Go tool stamps them too, but not in a git
// worktree. What it stamps also depends on the tags of the clone.
var commit, commitTime string

// ThisBuild returns what the release build set, or otherwise what the Go tool stamped into the binary. version is the
// value that a release build sets; "" means the version of the module.
func ThisBuild(version string) Build {
	b := Build{Version: version, Commit: commit, Time: commitTime, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		if b.Version == "" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.modified":
				b.Modified = s.Value == "true"
			case commit != "": // the build has set both
			case s.Key == "vcs.revision":
				b.Commit = s.Value
			case s.Key == "vcs.time":
				b.Time = s.Value
			}
		}
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	return b
}

// Write prints the build of program.
func (b Build) Write(w io.Writer, program string, format Format) error {
	if format == JSON {
		return WriteJSON(w, b)
	}
	_, err := io.WriteString(w, b.line(program))
	return err
}

// line returns what --version prints. It says which commit was built, and when that commit was made, if both are known.
func (b Build) line(program string) string {
	line := fmt.Sprintf("%s %s %s %s", program, b.Version, b.Platform, b.Go)
	if b.Commit != "" {
		line += fmt.Sprintf(" commit %s %s", b.Commit, b.Time)
	}
	if b.Modified {
		line += " modified"
	}
	return line + "\n"
}

// VersionFlag adds the flag --version to cmd, the root of a program.
func VersionFlag(cmd *cobra.Command, build Build) {
	cmd.Version = build.Version
	cmd.SetVersionTemplate(build.line(cmd.Name()))
}
