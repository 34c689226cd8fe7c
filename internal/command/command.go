package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// Command is a program and what it is given.
type Command struct {
	Name  string // as [exec.Command] finds it
	Args  []string
	Dir   string    // "" is this process's
	Env   []string  // nil is this process's
	Stdin io.Reader // nil is none: a program that asks for a password reads the end of a file
	// Within is how long it may take; not positive is [DefaultWithin].
	Within time.Duration
	// MaxOutput is how many bytes it may write; not positive is [DefaultOutput].
	MaxOutput int64
}

// What counts when nothing is said.
const (
	DefaultWithin = time.Minute
	DefaultOutput = 1 << 20
)

var (
	// ErrLate: the program took too long, and was killed.
	ErrLate = errors.New("it did not end in time and was killed")
	// ErrOutput: it wrote more than it may, and was killed.
	ErrOutput = errors.New("it wrote too much and was killed")
)

// lingering is how long we wait for the output of a program that has ended, while something that it started keeps it open.
const lingering = time.Second

// maxReason is how much of a program's last words stands in an error.
const maxReason = 512

// Run runs a program and returns what it wrote to its standard output, also when it failed. The error names the program, and tells
// the last of what it wrote to its standard error; it wraps [ErrLate], [ErrOutput], the cause of ctx's end, or an
// [*exec.ExitError] with the end of its standard error. Where the system has process groups, what the program started is killed with it.
func Run(ctx context.Context, c Command) ([]byte, error) {
	if c.Within <= 0 {
		c.Within = DefaultWithin
	}
	if c.MaxOutput <= 0 {
		c.MaxOutput = DefaultOutput
	}
	short, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(c.Within, func() { cancel(fmt.Errorf("within %v: %w", c.Within, ErrLate)) })
	defer late.Stop()
	cmd := exec.CommandContext(short, c.Name, c.Args...) //nolint:gosec // what the operator's configuration names
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.WaitDelay = c.Dir, c.Env, c.Stdin, lingering
	out := &capped{left: c.MaxOutput, full: func() { cancel(ErrOutput) }}
	said := &tail{}
	cmd.Stdout, cmd.Stderr = out, said
	withGroup(cmd)
	err := cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && short.Err() == nil: // it has ended well; a child of it is still there
		return out.kept.Bytes(), nil
	case short.Err() != nil:
		err = context.Cause(short)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		exit.Stderr = said.text
	}
	if why := said.String(); why != "" {
		err = fmt.Errorf("%w: %s", err, why)
	}
	return out.kept.Bytes(), fmt.Errorf("%s: %w", filepath.Base(c.Name), err)
}

// capped keeps what is written, up to a number of bytes.
type capped struct {
	kept bytes.Buffer // not embedded: it would be read into past the bound
	left int64
	full func()
}

func (b *capped) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		b.full()
		return 0, ErrOutput
	}
	return b.kept.Write(p)
}

// tail keeps the end of what is written.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p[max(0, len(p)-maxReason):]...)
	t.text = t.text[max(0, len(t.text)-maxReason):]
	return len(p), nil
}

// String returns it in one line.
func (t *tail) String() string {
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(t.text), ""))
	return strings.Join(strings.Fields(text), " ")
}
