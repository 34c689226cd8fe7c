package previous

import (
	"testing"

	"ociproxy/test/parts"
)

// TestSlowPrevious: a server starts on what a server and a mirror of the other release wrote, and answers as that one
// did, while everything that it could ask is down. Then both releases work on it in turn.
func TestSlowPrevious(t *testing.T) {
	parts.Slow(t)
	for order, r := range orders(t) {
		t.Run(order, func(t *testing.T) { handOver(t, newWorld(t), r[0], r[1]) })
	}
}

func handOver(t *testing.T, w *world, writer, reader release) {
	t.Logf("%s writes, %s reads", writer.name, reader.name)
	w.mirror(t, writer)
	p := w.serve(t, writer)
	want := w.first(t, p)
	w.getStuck(t, p)
	w.stop(t, p)

	w.down()
	repair := w.corrupt(t)
	p = w.serve(t, reader) // on the copy that the writer keeps
	if p.Metric(t, "ociproxy_config_fallback_timestamp_seconds") == 0 {
		t.Error("the broken config was read")
	}
	w.same(t, p, want)
	w.pull(t, p, 1, w.shops[1].Base)
	w.stop(t, p)
	repair()
	p = w.serve(t, reader)
	w.same(t, p, want)
	w.pull(t, p, 2, w.shops[1].Base)
	w.stop(t, p)

	// The reader's mirror goes on with the writer's inventories. The writer comes back, and reads what both wrote.
	w.up()
	w.push(t, 2)
	w.mirror(t, reader)
	p = w.serve(t, writer)
	more := w.first(t, p)
	w.same(t, p, want)
	w.pull(t, p, 3, w.shops[1].Base)
	w.stop(t, p)
	w.down()
	for _, r := range []release{reader, writer} {
		p = w.serve(t, r)
		w.same(t, p, more)
		w.stop(t, p)
	}
}
