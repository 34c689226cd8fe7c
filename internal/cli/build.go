package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
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

// ThisBuild reads what the Go tool stamped into the binary. version is the value that a release build sets; "" means
// the version of the module.
func ThisBuild(version string) Build {
	b := Build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		if b.Version == "" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value
			case "vcs.time":
				b.Time = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
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

func (b Build) line(program string) string {
	return fmt.Sprintf("%s %s %s %s\n", program, b.Version, b.Platform, b.Go)
}
