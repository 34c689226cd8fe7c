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

// Command is a program with its arguments, environment and limits.
type Command struct {
	Name  string // as [exec.Command] finds it
	Args  []string
	Dir   string    // "": this process's directory
	Env   []string  // nil: this process's environment
	Stdin io.Reader // nil: empty, so a program that asks for a password reads the end of a file
	// Within is the time limit; if not positive, it is [DefaultWithin].
	Within time.Duration
	// MaxOutput is the maximum output in bytes; if not positive, it is [DefaultOutput].
	MaxOutput int64
}

// Defaults for the limits of a Command.
const (
	DefaultWithin = time.Minute
	DefaultOutput = 1 << 20
)

var (
	// ErrLate means that the program took too long and was killed.
	ErrLate = errors.New("it did not end in time and was killed")
	// ErrOutput means that the program wrote too much and was killed.
	ErrOutput = errors.New("it wrote too much and was killed")
)

// lingering is how long Run waits for the output of a program that has ended, while one of its children keeps the
// output open.
const lingering = time.Second

// maxReason is how many bytes of a program's standard error an error contains.
const maxReason = 512

// Run runs a program and returns its standard output, even if it failed. The error contains the program's name and
// the end of its standard error. It wraps [ErrLate], [ErrOutput], the cause of ctx's end, or an [*exec.ExitError]
// with the end of the standard error. Where the system has process groups, Run kills the program's children with it.
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
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && short.Err() == nil: // it succeeded, a child still runs
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
	kept bytes.Buffer // not embedded: io.Copy would use its ReadFrom and read past the limit
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

// tail keeps the last maxReason bytes that are written.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p[max(0, len(p)-maxReason):]...)
	t.text = t.text[max(0, len(t.text)-maxReason):]
	return len(p), nil
}

// String returns the text as one line.
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

// Installed reports whether a program is where [Run] looks for it.
func Installed(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}
