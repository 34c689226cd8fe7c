package faults

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// metrics is one scrape. Each line is a name with labels, and a value.
type metrics []string

var scraper = &http.Client{Timeout: 10 * time.Second}

func scrape(admin string) (metrics, error) {
	resp, err := scraper.Get("http://" + admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return strings.Split(string(text), "\n"), err
}

// get sums up the series of a name whose labels include all the given ones.
func (m metrics) get(name string, labels ...string) (sum float64) {
lines:
	for _, line := range m {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue lines
			}
		}
		v, _ := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		sum += v
	}
	return sum
}

// want returns an error unless the metric is between least and most.
func (m metrics) want(least, most float64, name string, labels ...string) error {
	if v := m.get(name, labels...); v < least || v > most {
		return fmt.Errorf("%s%v is %v, want %v to %v", name, labels, v, least, most)
	}
	return nil
}

// poll waits until sees returns nil.
func (w *world) poll(t *testing.T, what string, sees func(*world, metrics) error) {
	t.Helper()
	parts.Poll(t, limit, what, func() error {
		m, err := scrape(w.proxy.Admin)
		if err != nil {
			return err
		}
		return sees(w, m)
	})
}

const infinite = 1e300

// ejected checks that the candidate is out of service.
func ejected(name string) func(*world, metrics) error {
	return func(_ *world, m metrics) error {
		return m.want(0, 0, "ociproxy_candidate_usable", `candidate="`+name+`"`)
	}
}

// inService checks that the candidate is in service and was probed.
func inService(name string) func(*world, metrics) error {
	return func(_ *world, m metrics) error {
		return m.want(1, 1, "ociproxy_candidate_usable", `candidate="`+name+`"`)
	}
}

// inventoryIs checks that the store's inventory is in the state.
func inventoryIs(name, state string) func(*world, metrics) error {
	return func(_ *world, m metrics) error {
		return m.want(1, 1, "ociproxy_inventory_state", `candidate="`+name+`"`, `state="`+state+`"`)
	}
}

// notBelieved checks that the store has an inventory and that the proxy does not believe it.
func notBelieved(name string) func(*world, metrics) error {
	return func(_ *world, m metrics) error {
		if err := m.want(0, 0, "ociproxy_inventory_state", `candidate="`+name+`"`, `state="current"`); err != nil {
			return err
		}
		return m.want(1, 1, "ociproxy_inventory_state", `candidate="`+name+`"`)
	}
}

// inventoryFails checks that the refresh of the inventory fails, and that the proxy still believes it.
func inventoryFails(name string) func(*world, metrics) error {
	return all(inventoryIs(name, "current"), func(_ *world, m metrics) error {
		return m.want(1, 1, "ociproxy_inventory_failing", `candidate="`+name+`"`)
	})
}

// rises checks that the metric is at least 1.
func rises(name string, labels ...string) func(*world, metrics) error {
	return func(_ *world, m metrics) error { return m.want(1, infinite, name, labels...) }
}

// all checks the list in order.
func all(list ...func(*world, metrics) error) func(*world, metrics) error {
	return func(w *world, m metrics) error {
		for _, f := range list {
			if err := f(w, m); err != nil {
				return err
			}
		}
		return nil
	}
}
