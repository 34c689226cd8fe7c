// Package demo runs the demo, whose clients pull from its stores all the time.
//
// It knows what the demo prints and what a person types. It must not know what the proxy makes of it.
package demo

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// Demo is a running demo: addresses as http://host:port, and the path of a layer.
type Demo struct {
	Proxy, Admin, Console, Layer, Image string

	process  *parts.Process
	keyboard *os.File
}

// Start starts the demo.
func Start(t testing.TB) *Demo {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	t.Cleanup(func() { write.Close() })
	d := &Demo{keyboard: write}
	d.process = parts.Start(t, parts.Spec{
		Path: "/bin/sh", Files: []*os.File{read}, // number 3
		Args: []string{"-c", `exec "$0" "$@" <&3 3<&-`, parts.Build(t, "oci-proxy-demo", "OCIPROXY_DEMO_BINARY"),
			"--listen", parts.FreeAddr(t), "--output", "json"},
	})
	parts.Poll(t, parts.Ready, "the demo's guide", func() error {
		for _, line := range d.process.Output.Since(0) {
			if json.Unmarshal([]byte(line), d) == nil && d.Console != "" {
				return nil
			}
		}
		return fmt.Errorf("no guide")
	})
	return d
}

// Turn types the name of a store, which stops it or starts it again, and returns when.
func (d *Demo) Turn(t testing.TB, store string) time.Time {
	t.Helper()
	if _, err := fmt.Fprintln(d.keyboard, store); err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

// Mark returns the current moment in the demo's output, for Noticed.
func (d *Demo) Mark() int { return d.process.Output.Mark() }

// Noticed waits until the demo says what happened to the store after a mark: "ejected" or "readmitted".
func (d *Demo) Noticed(t testing.TB, mark int, store, event string) {
	t.Helper()
	parts.Poll(t, 2*time.Minute, store+" "+event, func() error {
		for _, line := range d.process.Output.Since(mark) {
			var e struct{ Event, Store string }
			if json.Unmarshal([]byte(line), &e) == nil && e.Event == event && e.Store == store {
				return nil
			}
		}
		return fmt.Errorf("not yet:\n%s", d.process.Output.Tail(5))
	})
}
