package metrics

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRead checks that the server can read what it counted.
func TestRead(t *testing.T) {
	m := New("test")
	key := FlowKey{"aws", "us-east-1", "va", "nearest"}
	m.Flow(key).Count(1<<30, 5)
	m.Flow(key).Count(0, 5)
	got := map[FlowKey]Counted{}
	m.Flows(func(k FlowKey, c Counted) { got[k] = c })
	if diff := cmp.Diff(map[FlowKey]Counted{key: {2, 1 << 30, 0.05}}, got); diff != "" {
		t.Errorf("flows (-want +got):\n%s", diff)
	}
	m.Requests("blob")[CodeIndex(307)].Inc()
	m.Requests("tag")[CodeIndex(502)].Inc()
	m.Requests("probe")[CodeIndex(503)].Inc()
	if all, failed := m.Answered("probe"); all != 2 || failed != 1 {
		t.Errorf("%g answered, %g with 5xx", all, failed)
	}
	m.Connections.Set(7)
	if n := Read(m.Connections); n != 7 {
		t.Errorf("%g connections", n)
	}
}
