package inventory

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A table that does not follow the head is believed as long as its own head would be. The status says why it does not
// follow.
func TestTableBehind(t *testing.T) {
	start := time.Now()
	now := start
	f := NewFollower(Options{Now: func() time.Time { return now }})
	live, err := f.Follow([]Store{{ID: "a", URL: "http://a/", StaleAfter: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	r, all := f.stores[0].reader, shelf{}
	refs := all.add(t, Record{sha256Of(1), 1, Blob})
	// rewritten sets a head written now, as a refresh does, and updates the table. Only the segments in readable can be
	// read.
	rewritten := func(segments []SegmentRef, readable shelf) {
		t.Helper()
		f.segments.memory = readable
		if err := r.save(&Head{Version: 1, Store: "a", Generation: 1, WrittenAt: now, Segments: segments}, false); err != nil {
			t.Fatal(err)
		}
		_ = f.update() // the status has the error
	}
	expect := func(want State, fault string, since time.Time) {
		t.Helper()
		st := f.Statuses()[0]
		if st.State != want || live.View().Believed.Has(0) != (want == Current) {
			t.Errorf("state %v, believed %v, want %v", st.State, live.View().Believed.Has(0), want)
		}
		if (fault == "") != (st.LastError == nil) || fault != "" && !strings.Contains(st.LastError.Error(), fault) {
			t.Errorf("error %v, want %q", st.LastError, fault)
		}
		if !st.ErrorSince.Equal(since) {
			t.Errorf("failing since %v, want %v", st.ErrorSince, since)
		}
	}
	const missing = "build table: segment"
	rewritten(refs, shelf{})
	expect(Loading, missing, start)
	rewritten(refs, all)
	expect(Current, "", time.Time{})
	now = start.Add(50 * time.Minute)
	rewritten(refs, shelf{}) // nothing is read again: the list is the same
	expect(Current, "", time.Time{})
	built := now
	now = built.Add(10 * time.Minute)
	behind := now
	more := append(refs[:len(refs):len(refs)], all.add(t, Record{sha256Of(1), 0, Tombstone})...)
	rewritten(more, shelf{})
	expect(Current, missing, behind)
	now = built.Add(time.Hour)
	rewritten(more, shelf{})
	expect(Current, missing, behind)
	now = built.Add(time.Hour + time.Second)
	rewritten(more, shelf{})
	expect(Stale, missing, behind)
	rewritten(more, all)
	expect(Current, "", time.Time{})
	if _, ok := live.View().Table.Lookup(sha256Of(1)); ok {
		t.Error("the tombstone does not count")
	}
}

// The log of a store that never had an inventory shows no date of an inventory.
func TestNoDateOfNothing(t *testing.T) {
	nothing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(nothing.Close)
	var log bytes.Buffer
	f := NewFollower(Options{Client: nothing.Client(), Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	if _, err := f.Follow([]Store{{ID: "a", URL: nothing.URL + "/", StaleAfter: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Refresh(t.Context()); err == nil {
		t.Error("no error although there is none")
	}
	if text := log.String(); !strings.Contains(text, `"to":"gone"`) || strings.Contains(text, "0001-01-01") {
		t.Error(text)
	}
}
