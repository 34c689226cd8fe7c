package cli

import (
	"io"
	"os"
)

// Color is an ANSI foreground colour.
type Color string

// These are the colours in use. All codes have the same length, which Table depends on.
const (
	Plain  Color = "39"
	Red    Color = "31"
	Green  Color = "32"
	Yellow Color = "33"
	Blue   Color = "34"
)

func (c Color) always(s string) string { return "\x1b[" + string(c) + "m" + s + "\x1b[39m" }

// In returns s in colour when on is true.
func (c Color) In(s string, on bool) string {
	if !on || c == Plain {
		return s
	}
	return c.always(s)
}

// UseColor reports whether to colour the output to w: w is a terminal, NO_COLOR is unset or empty (no-color.org), and
// TERM is not dumb. getenv is os.Getenv outside tests.
func UseColor(w io.Writer, getenv func(string) string) bool {
	return IsTerminal(w) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// IsInteractive reports whether a person can type at r: it is a terminal. Unlike for [IsTerminal], the null device is none:
// it is what services and schedulers give a program to read.
func IsInteractive(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	null, errNull := os.Stat(os.DevNull)
	return err == nil && errNull == nil && st.Mode()&os.ModeCharDevice != 0 && !os.SameFile(st, null)
}

// IsTerminal reports whether w is a character device, which is a good enough test for a terminal. /dev/null is one too,
// but its output does not matter.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
