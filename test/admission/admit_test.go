package admission

import (
	"testing"
)

// A good store is admitted, and every check passes or says why it was not made.
func TestGoodStore(t *testing.T) {
	w := newWorld(t)
	r := w.admit(t, quick...)
	if r.Verdict != "pass" || r.Errors+r.Warnings > 0 {
		t.Errorf("%v", &r)
	}
	t.Log(r.results())
	t.Logf("%+v %+v", r.Cost, r.Figures)
	t.Log(&r)
}
