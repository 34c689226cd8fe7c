package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/cli"
)

// outageOf prepares an outage that takes a few seconds, with faster probes and pulls.
func outageOf(t *testing.T, store string, out *printer) (*demo, *outage) {
	t.Helper()
	d, err := build(t.Context(), Options{Fail: store}.filled(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.remove)
	d.rewrite(t, func(text string) string {
		return strings.Replace(text, "interval: 1s, idleInterval: 2s", "interval: 100ms, idleInterval: 100ms", 1)
	})
	o := d.newOutage(store, out)
	o.pace = pace{
		pulls: 200 * time.Millisecond, before: 400 * time.Millisecond, ejected: 200 * time.Millisecond, retry: 10 * time.Millisecond,
		ejectWithin: time.Minute, readmitWithin: time.Minute, returnWithin: time.Minute,
	}
	return d, o
}

// TestOutage runs the outage demo itself, with the real proxy. It fails a store that serves all pulls of one client
// and a layer for another client, and then the CDN.
func TestOutage(t *testing.T) {
	for _, store := range []string{nodeFrankfurt, nodeCDN} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			d, o := outageOf(t, store, &printer{w: &out, json: true})
			if err := d.outage(t.Context(), o); err != nil {
				t.Errorf("%v\n%s", err, out.String())
			}
			var events []string
			var last outageReport
			pulls := map[int]int{} // by the number of events before the pull
			for line := range strings.Lines(out.String()) {
				last = outageReport{}
				if err := json.Unmarshal([]byte(line), &last); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				if last.Event == "pull" {
					pulls[len(events)]++
				} else {
					events = append(events, last.Event)
				}
			}
			if diff := cmp.Diff([]string{"failed", "ejected", "restored", "readmitted", "summary"}, events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			// The phases: before the failure, during it, and after the recovery. The number of pulls depends on the
			// machine's speed.
			if pulls[0] == 0 || pulls[1]+pulls[2] == 0 || pulls[4] == 0 {
				t.Errorf("pulls by phase: %v", pulls)
			}
			if last.Pulls < 3 || last.FailedFirstTries == 0 || last.LastRedirect == nil || last.Returned == nil ||
				*last.LastRedirect > *last.Ejected {
				t.Errorf("summary: %s", out.String()[strings.LastIndexByte(strings.TrimSpace(out.String()), '\n')+1:])
			}
		})
	}
}

// TestOutageText checks the text output.
func TestOutageText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	d, o := outageOf(t, nodeVirginia, &printer{w: &out})
	if err := d.outage(t.Context(), o); err != nil {
		t.Error(err)
	}
	rest := out.String()
	for _, want := range []string{
		"aws-us-east-1 is about to fail", "pull    aws-virginia     5 aws-us-east-1\n", "fails: it resets", "asked for again)",
		"is ejected, ", "pull    aws-virginia     5 us\n", "works again", "is re-admitted, ", "pull    aws-virginia     5 aws-us-east-1\n",
		" 0 failed\n", "last redirect to the dead store  ", "pulls as before ",
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("no %q, or not where it should be:\n%s", want, out.String())
		}
		rest = after
	}
}

// TestOutageFails checks that the demo fails when something goes wrong.
func TestOutageFails(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(d *demo, o *outage)
		want  string
	}{
		{"it stays down", func(_ *demo, o *outage) {
			o.restore, o.pace.readmitWithin = func() {}, time.Second
		}, "the store was not re-admitted within 1s"},
		{"it never fails", func(_ *demo, o *outage) {
			o.fail, o.pace.ejectWithin = func() {}, time.Second
		}, "the store was not ejected within 1s"},
		{"nobody else has it", func(d *demo, o *outage) {
			o.pace.ejectWithin = time.Second
			o.fail = func() {
				for _, n := range d.world.nodes {
					n.listener.fail()
				}
			}
		}, " pulls failed"},
		{"pulls stay away", func(_ *demo, o *outage) {
			o.pace.returnWithin = time.Second
			o.clients[0].From = map[string]string{"": nodeAzure}
		}, "pulls did not return to the store within 1s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			d, o := outageOf(t, nodeVirginia, &printer{w: &out})
			tt.spoil(d, o)
			if err := d.outage(t.Context(), o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q\n%s", err, tt.want, out.String())
			}
		})
	}
}

// TestOutageNotes checks that a change of the proxy's opinion without a reason in the store is a problem.
func TestOutageNotes(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name   string
		o      outage
		usable bool
		want   string
	}{
		{"ejected without a reason", outage{}, false, "the store was ejected before it failed"},
		{"back without a reason", outage{failedAt: now, ejectedAt: now}, true, "the store was re-admitted while it was down"},
		{"ejected", outage{failedAt: now}, false, ""},
		{"back", outage{failedAt: now, ejectedAt: now, restoredAt: now}, true, ""},
		{"ejected again", outage{failedAt: now, ejectedAt: now, restoredAt: now, readmittedAt: now}, false, "the store was ejected again"},
	}
	for _, tt := range tests {
		tt.o.store, tt.o.out = &node{name: "s"}, &printer{w: io.Discard}
		tt.o.note(tt.usable)
		if got := strings.Join(tt.o.report.Problems, "; "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	o := outage{failedAt: now, ejectedAt: now.Add(time.Second)}
	o.count(client{}, drilled{redirected: []time.Time{now.Add(3 * time.Second)}})
	if diff := cmp.Diff([]string{"a client was sent to the store 2.0 s after it was ejected"}, o.report.Problems); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOutageInterrupted checks that Ctrl-C ends the outage with an error.
func TestOutageInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{Fail: nodeCDN, Stdout: w})
		_ = w.Close()
	}()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestFailUsage(t *testing.T) {
	for _, opt := range []Options{{Fail: nodeUS}, {Fail: "nonsense"}, {Fail: nodeCDN, Once: true}} {
		if err := Run(t.Context(), opt); cli.Code(err) != cli.CodeUsage {
			t.Errorf("%+v: %v", opt, err)
		}
	}
}

// TestStores checks that Stores returns the names of the world's stores, and that at least one client uses each of
// them.
func TestStores(t *testing.T) {
	var names []string
	for _, n := range newTestWorld(t).nodes {
		if !n.upstream {
			names = append(names, n.name)
		}
	}
	if diff := cmp.Diff(names, Stores()); diff != "" {
		t.Errorf("(-world +Stores):\n%s", diff)
	}
	for _, name := range names {
		if !slices.ContainsFunc(clients(), func(c client) bool { return c.Crowd.IsValid() && slices.Contains(c.nodes(), name) }) {
			t.Errorf("nobody would pull from %s", name)
		}
	}
}

// TestOutlet checks that all connections, including open ones, are reset while the outlet is down, and that it
// accepts connections again afterwards, on the same port.
func TestOutlet(t *testing.T) {
	ln, err := listenLoopback(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := newOutlet(ln)
	defer o.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := o.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("x"))
			defer c.Close()
		}
	}()
	// read reports whether a connection delivers a byte.
	read := func(c net.Conn) bool {
		if c == nil {
			return false
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		_, err := c.Read(make([]byte, 1))
		if errors.Is(err, io.EOF) {
			t.Error("an end, not an error")
		}
		return err == nil
	}
	dial := func() net.Conn {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", o.Addr().String())
		if errors.Is(err, syscall.ECONNRESET) { // the reset came before Dial returned
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	before := dial()
	if !read(before) {
		t.Error("up: no answer")
	}
	o.fail()
	if read(before) || read(dial()) {
		t.Error("down: an answer")
	}
	o.restore()
	if !read(dial()) {
		t.Error("up again: no answer")
	}
	_ = o.Close()
	<-served
}

func TestReadUsable(t *testing.T) {
	text := "# HELP x\nociproxy_candidate_usable{candidate=\"a\"} 1\nociproxy_candidate_usable{candidate=\"b\"} 0\n"
	for name, want := range map[string][2]bool{"a": {true, true}, "b": {false, true}, "c": {false, false}} {
		if usable, ok := readUsable(strings.NewReader(text), name); usable != want[0] || ok != want[1] {
			t.Errorf("%s: %v %v", name, usable, ok)
		}
	}
}
