package systemd

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// manager receives messages as a service manager does.
type manager struct{ *net.UnixConn }

func manage(t *testing.T, address string) manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return manager{conn}
}

var clock = regexp.MustCompile(`MONOTONIC_USEC=[1-9][0-9]+`)

// next returns the next message, without the time. It returns "" when no message has come.
func (m manager) next(t *testing.T) string {
	t.Helper()
	buf := make([]byte, 4096)
	if err := m.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := m.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return clock.ReplaceAllString(string(buf[:n]), "MONOTONIC_USEC=now")
}

// TestNotifier: the manager gets what Type=notify-reload expects, each state in one message and in order.
func TestNotifier(t *testing.T) {
	for what, address := range map[string]string{"file": filepath.Join(short(t), "n"), "abstract": "@ociproxy/test/notify/" + filepath.Base(short(t))} {
		t.Run(what, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", address)
			m := manage(t, address)
			n := NewNotifier(os.Getenv, func(err error) { t.Error(err) })
			if left, ok := os.LookupEnv("NOTIFY_SOCKET"); ok {
				t.Errorf("children would speak for this process: %q", left)
			}
			for _, step := range []struct {
				do   func()
				want string
			}{
				{func() { n.Reloading() }, ""},
				{func() { n.Reloaded("starting\nagain") }, "STATUS=starting again\n"},
				{func() { n.Ready("serving") }, "READY=1\nSTATUS=serving\n"},
				{func() { n.Reloading() }, "RELOADING=1\nMONOTONIC_USEC=now\nSTATUS=reading the config again\n"},
				{func() { n.Reloaded("serving 2") }, "READY=1\nSTATUS=serving 2\n"},
				{func() { n.Stopping("draining") }, "STOPPING=1\nSTATUS=draining\n"},
				{func() { n.Reloading() }, ""},
				{func() { n.Reloaded("serving") }, ""},
				{func() { n.Ready("serving") }, ""},
			} {
				step.do()
				if diff := cmp.Diff(step.want, m.next(t)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestNoManager: without a manager nothing happens. A manager that is gone gives an error for each message, and the
// process goes on.
func TestNoManager(t *testing.T) {
	var faults int
	say := func(n *Notifier) {
		n.Ready("serving")
		n.Reloading()
		n.Reloaded("serving")
		n.Stopping("draining")
	}
	say(new(Notifier))
	say(NewNotifier(func(string) string { return "" }, func(error) { faults++ }))
	if faults != 0 {
		t.Errorf("%d faults without a manager", faults)
	}
	gone := filepath.Join(short(t), "gone")
	say(NewNotifier(func(string) string { return gone }, func(error) { faults++ }))
	if faults != 4 {
		t.Errorf("%d faults of a manager that is gone, want 4", faults)
	}
}
