package accesslog

import (
	"strings"
	"testing"
)

// TestAFaultIsShort: what a hostile line says is not repeated as a whole.
func TestAFaultIsShort(t *testing.T) {
	var r Reader
	text := "time=" + strings.Repeat("x", MaxLine/2) + " msg=request status=200\n"
	if err := r.Read(t.Context(), "log", strings.NewReader(text), func(*Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if f := r.Stats().Faults; len(f) != 1 || len(f[0].Err) > 400 {
		t.Errorf("%d faults, the first has %d bytes", len(f), len(f[0].Err))
	}
}
