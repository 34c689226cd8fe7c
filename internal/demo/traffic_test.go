package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTraffic runs the demo as a person does who looks at the console: clients pull without being asked, and a typed
// name stops a store. The proxy notices, and all pulls succeed.
func TestTraffic(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	typed, keyboard := io.Pipe()
	defer keyboard.Close()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Run(ctx, Options{Listen: "127.0.0.1:0", Stdin: typed, Stdout: w, Output: "json"})
		_ = w.CloseWithError(io.EOF)
		done <- err
	}()
	lines := bufio.NewScanner(r)
	lines.Scan()
	var g guide
	if err := json.Unmarshal(lines.Bytes(), &g); err != nil || g.Console != g.Admin+"/" {
		t.Errorf("guide %+v: %v", g, err)
	}
	// Nothing is printed before a name is typed, so the typing cannot block on the output.
	if _, err := io.WriteString(keyboard, "nonsense\n "+nodeVirginia+" \n"); err != nil {
		t.Error(err)
	}
	var events []string
	for lines.Scan() {
		var e outageEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Store != nodeVirginia {
			t.Errorf("%s: %v", lines.Text(), err)
			continue
		}
		switch events = append(events, e.Event); e.Event {
		case "ejected":
			if _, err := io.WriteString(keyboard, nodeVirginia+"\n"); err != nil {
				t.Error(err)
			}
		case "readmitted":
			cancel()
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"failed", "ejected", "restored", "readmitted"}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestCrowds checks that every crowd is located where it says, that no two share a network, and that all stores get
// something to do.
func TestCrowds(t *testing.T) {
	all := crowds()
	turns := map[string]int{}
	total := 0
	for _, c := range all {
		total += c.weight
		line := c.Crowd.String() + "," + c.Place + "\n"
		if c.Place != "" && !strings.Contains(string(rangesText), line) {
			t.Errorf("ranges.csv lacks %s", line)
		}
		for _, other := range all {
			if other != c && other.Crowd.Overlaps(c.Crowd) {
				t.Errorf("%s and %s share %s", c.Name, other.Name, c.Crowd)
			}
		}
		if a, b := c.network(0), c.network(4095); !c.Crowd.Contains(a) || !c.Crowd.Contains(b) || a == b {
			t.Errorf("%s: networks %s and %s", c.Name, a, b)
		}
	}
	for range total {
		turns[next(all).Name]++
	}
	for _, c := range all {
		if turns[c.Name] != c.weight {
			t.Errorf("%s pulls %d times of %d, want %d", c.Name, turns[c.Name], total, c.weight)
		}
	}
	for _, store := range Stores() {
		if !slices.ContainsFunc(all, func(c *crowd) bool { return slices.Contains(c.nodes(), store) }) {
			t.Errorf("nobody pulls from %s", store)
		}
	}
}

// TestTrafficFails checks that a pull of the demo's own clients that fails is told, and nothing else of them.
func TestTrafficFails(t *testing.T) {
	d, err := build(t.Context(), Options{}.filled(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.remove()
	for _, n := range d.world.nodes {
		if n.name == nodeEU || n.name == nodeUS {
			n.listener.fail()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- d.run(ctx, func(ctx context.Context) error {
			if err := d.awaitReady(ctx); err != nil {
				return err
			}
			d.traffic(ctx, &printer{w: w, json: true}, time.Now(), time.Millisecond)
			return w.Close()
		})
	}()
	lines := bufio.NewScanner(r)
	lines.Scan()
	var p outagePull
	if err := json.Unmarshal(lines.Bytes(), &p); err != nil || p.OK || p.Event != "pull" || p.Error == "" || p.Address == "" {
		t.Errorf("%s: %v", lines.Text(), err)
	}
	cancel()
	for lines.Scan() {
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
