package tutorial

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

var update = flag.Bool("update", false, "write what the commands print into the tutorial")

// shell is a running bash to which a test gives one command after the other, as a person does.
type shell struct {
	*parts.Process
	input *os.File
	home  string
	n     int // of commands so far
}

// ended is the beginning of the line that the shell prints after each command.
const ended = "@ended"

// shellOptions say where a shell runs. The zero value is an empty home directory and this machine's network.
type shellOptions struct {
	dir   string
	path  string // a directory before all others in PATH
	env   []string
	alone bool // as a plain user, who has a loopback network in which no other program has taken a port
}

// newShell starts bash.
func newShell(t *testing.T, o shellOptions) *shell {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	t.Cleanup(func() { write.Close() })
	home := t.TempDir()
	spec := parts.Spec{
		Path: "/bin/sh", Args: []string{"-c", "exec bash --norc <&3 3<&-"},
		Env: slices.Concat(o.env, []string{"HOME=" + home}), Dir: o.dir, Files: []*os.File{read},
	}
	if o.dir == "" {
		spec.Dir = home
	}
	if o.path != "" {
		spec.Env = append(spec.Env, "PATH="+o.path+":"+os.Getenv("PATH"))
	}
	if o.alone {
		parts.NeedRoot(t)
		spec.Path = parts.Find(t, "unshare")
		// The user namespace inside makes root a plain user, who can still read the programs of the tests. Root would get
		// other defaults than a newcomer, in /var/cache.
		spec.Args = []string{"--net", "--mount", "sh", "-c", parts.Find(t, "ip") + " link set lo up && mount -t tmpfs -o ro tmpfs /var/cache && " +
			"exec unshare --user --map-user=1000 --map-group=1000 bash --norc <&3 3<&-"}
	}
	return &shell{input: write, home: home, Process: parts.Start(t, spec)}
}

// check runs a step. The test ends when the command fails. If the command prints something else than the page says, the
// test fails, and the step becomes what it printed.
func (s *shell) check(t *testing.T, one *step) {
	t.Helper()
	printed, code := s.run(t, one.command)
	if code != 0 {
		t.Fatalf("%s: exit code %d\n%s", one.command, code, strings.Join(printed, "\n"))
	}
	if diff := cmp.Diff(alike(one.prints), alike(printed)); diff != "" {
		if one.prints = printed; !*update {
			t.Errorf("%s (-page +printed)\n%s", one.command, diff)
		}
	}
}

// run runs a command and returns the lines that it printed and its exit code.
func (s *shell) run(t *testing.T, command string) (printed []string, code int) {
	t.Helper()
	s.n++
	mark, end := s.Output.Mark(), fmt.Sprintf("%s %d ", ended, s.n)
	// The command must not read the rest of our input. A command without a line break at its end leaves its last line open.
	fmt.Fprintf(s.input, "eval %s </dev/null; printf '\\n%s%%d\\n' $?\n", quoted(command), end)
	parts.Poll(t, limit, command, func() error {
		text, rest, ok := strings.Cut(s.Output.String()[mark:], "\n"+end)
		switch status, _, whole := strings.Cut(rest, "\n"); {
		case !s.Running():
			return fmt.Errorf("the shell has ended:\n%s", s.Output.Tail(20))
		case !ok || !whole:
			return fmt.Errorf("still runs:\n%s", s.Output.Tail(20))
		default:
			var err error
			code, err = strconv.Atoi(status)
			text = strings.NewReplacer("\r", "", s.home, "/home/you").Replace(text)
			printed = strings.Split(strings.Trim(text, "\n"), "\n")
			return err
		}
	})
	return printed, code
}

// limit is how long a command may take on a busy machine.
const limit = 3 * time.Minute

// quoted returns text as one word of the shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
