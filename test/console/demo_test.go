// Package console looks at the console with a real browser, while the demo's clients pull.
package console

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// demo is a running demo.
type demo struct {
	Proxy, Admin, Console, Layer string

	process  *parts.Process
	keyboard *os.File
}

// startDemo starts the demo, whose clients pull from then on.
func startDemo(t *testing.T) *demo {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	t.Cleanup(func() { write.Close() })
	d := &demo{keyboard: write}
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

// turn types the name of a store, which stops it or starts it again, and returns when.
func (d *demo) turn(t *testing.T, store string) time.Time {
	t.Helper()
	if _, err := fmt.Fprintln(d.keyboard, store); err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

// noticed waits until the demo says what happened to the store after a mark of its output: "ejected", "readmitted".
func (d *demo) noticed(t *testing.T, mark int, store, event string) {
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
