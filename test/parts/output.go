package parts

import (
	"bytes"
	"strings"
	"sync"
)

// Output keeps everything that a process writes. Safe for concurrent use.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends p.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// Mark returns the current length, for a later Since.
func (o *Output) Mark() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Len()
}

// Since returns the complete lines written after the mark, without the empty ones.
func (o *Output) Since(mark int) []string {
	o.mu.Lock()
	text := string(o.buf.Bytes()[mark:])
	o.mu.Unlock()
	end := strings.LastIndexByte(text, '\n')
	if end < 0 {
		return nil
	}
	return strings.FieldsFunc(text[:end], func(r rune) bool { return r == '\n' || r == '\r' })
}

// String returns everything that was written.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Tail returns the last n lines.
func (o *Output) Tail(n int) string {
	lines := strings.Split(strings.TrimRight(o.String(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
