package faults

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/test/proxy"
)

// Limits of what a flood of made-up digests may cost. The proxy's own unit tests flood with millions; here are real
// processes.
const (
	floodTime       = 10 * time.Second
	floodClients    = 300                    // half of them from one network
	floodPace       = 250 * time.Millisecond // per client: what a machine of two cores can send beside the servers
	floodGoroutines = 1500                   // of the proxy
	floodMemory     = 160 << 10              // KiB above what it had
	floodChecks     = 128 * 1000 / 60        // the proxy's HEAD requests a second: 128 at once, 60 ms or more each
)

// floodFault returns a fault: a crowd asks for digests that no candidate has, from one network and from many. The proxy
// has to ask two candidates by HEAD: a store without an inventory, and the replica.
func floodFault() fault {
	return fault{
		name: "flood of random digests", unnoticed: true,
		options: options{configure: func(_ *testing.T, _ *world, c proxy.Config) {
			for _, s := range c["stores"].(proxy.List) {
				if store := s.(proxy.Map); store["name"] != storeAz {
					delete(store, "inventory")
				}
			}
		}},
		strike: func(t *testing.T, w *world) {
			// The distances are a region or two, so that checks take a realistic time.
			for _, name := range []string{storeUS, storeEU, replica} {
				w.gates[name].toxic(t, `{"type": "latency", "attributes": {"latency": 60}}`)
			}
			before := w.honest(t, 2*time.Second)
			memory, _, err := resident(w.proxy.PID())
			if err != nil {
				t.Fatal(err)
			}
			checks := w.checks()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var sent atomic.Int64
			var wg sync.WaitGroup
			for i := range floodClients {
				wg.Go(func() { w.flood(ctx, i%2 == 0, &sent) })
			}
			// The same process answers these requests without asking a candidate. What they take is due to the machine.
			bare := make(chan latencies, 1)
			wg.Go(func() { bare <- w.bare(t, floodTime) })
			goroutines := make(chan float64, 1)
			wg.Go(func() { goroutines <- w.mostGoroutines(ctx) })
			begun := time.Now()
			during := w.honest(t, floodTime)
			lasted := time.Since(begun)
			cancel()
			wg.Wait()
			idle := <-bare
			_, peak, err := resident(w.proxy.PID())
			if err != nil {
				t.Fatal(err)
			}
			asked := float64(w.checks()-checks) / lasted.Seconds()
			most := <-goroutines
			t.Logf("flood: %d made-up digests in %v; %.0f requests a second left the proxy; memory %d MiB, then at most %d MiB; at most %.0f goroutines",
				sent.Load(), lasted, asked, memory>>10, peak>>10, most)
			t.Logf("flood: honest clients' p99 %v before and %v during, median %v and %v; p99 %v for what takes no thought",
				before.at(99), during.at(99), before.at(50), during.at(50), idle.at(99))
			if peak-memory > floodMemory || most > floodGoroutines || asked > floodChecks {
				t.Errorf("more than %d KiB, %d goroutines or %d checks a second", floodMemory, floodGoroutines, floodChecks)
			}
			if most := idle.at(99) + time.Second; during.at(99) > most {
				t.Errorf("an honest client waited %v, want at most %v", during.at(99), most)
			}
		},
		sees: rises("ociproxy_existence_checks_total", `result="shed"`),
	}
}

// checks counts the proxy's requests that reached any store or upstream.
func (w *world) checks() (n int64) {
	for _, g := range w.gates {
		n += g.checks.Load()
	}
	return n
}

// redirecting returns a client that does not follow redirects.
func redirecting() *http.Client {
	return &http.Client{
		Timeout:       20 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 8},
		CheckRedirect: outbound.NoRedirect,
	}
}

func (w *world) ask(client *http.Client, digest string, by netip.Addr) (int, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+w.front+"/v2/"+w.app()+"/blobs/"+digest, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Forwarded-For", by.String())
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// flood asks for one made-up digest after the other: always from one network, or each time from another.
func (w *world) flood(ctx context.Context, one bool, sent *atomic.Int64) {
	client := redirecting()
	defer client.CloseIdleConnections()
	tick := time.NewTicker(floodPace)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		<-tick.C
		var random [32]byte
		_, _ = rand.Read(random[:])
		by := virginia.machine(1 << 13)
		if !one {
			by = virginia.machine(n)
		}
		if _, err := w.ask(client, fmt.Sprintf("sha256:%x", random), by); err == nil {
			sent.Add(1)
		}
	}
}

type latencies []time.Duration

func (l latencies) at(percent int) time.Duration {
	slices.Sort(l)
	return l[min(len(l)-1, len(l)*percent/100)].Round(10 * time.Microsecond)
}

// honest measures how long clients wait for an answer about a layer that exists.
func (w *world) honest(t *testing.T, lasts time.Duration) latencies {
	t.Helper()
	client := redirecting()
	defer client.CloseIdleConnections()
	return measure(lasts, func(n int) {
		code, err := w.ask(client, w.layer(n%3), places[n%len(places)].machine(1<<12+n/3))
		if err != nil || code != http.StatusTemporaryRedirect {
			t.Errorf("an honest client got %d, %v", code, err)
		}
	})
}

// bare measures how long an answer takes that needs no decision.
func (w *world) bare(t *testing.T, lasts time.Duration) latencies {
	t.Helper()
	client := redirecting()
	defer client.CloseIdleConnections()
	return measure(lasts, func(int) {
		resp, err := client.Get("http://" + w.front + "/v2/")
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
	})
}

// measure calls do a hundred times a second.
func measure(lasts time.Duration, do func(n int)) (all latencies) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(lasts)
	for n := 0; time.Now().Before(end); n++ {
		begin := time.Now()
		do(n)
		all = append(all, time.Since(begin))
		<-tick.C
	}
	return all
}

func (w *world) mostGoroutines(ctx context.Context) (most float64) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if m, err := scrape(w.proxy.Admin); err == nil {
			most = max(most, m.get("go_goroutines"))
		}
		select {
		case <-ctx.Done():
			return most
		case <-tick.C:
		}
	}
}

// readStatus reads what Linux reports about a process.
func readStatus(pid int) (map[string]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		out[key] = strings.TrimSpace(value)
	}
	return out, nil
}
