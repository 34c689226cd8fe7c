package demo

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/inventory"
)

// TestInventory checks that package inventory can read what the stores publish, and that it matches what they hold.
func TestInventory(t *testing.T) {
	img, err := newImage()
	if err != nil {
		t.Fatal(err)
	}
	s := img.store("somewhere", http.StatusForbidden, missingInSingapore)
	now := time.Now()
	head, err := inventory.ParseHead(s.inventory.object(inventory.HeadName, now))
	if err != nil {
		t.Fatal(err)
	}
	if age := now.Sub(head.WrittenAt); head.Store != "somewhere" || age < 0 || age > rewritten || len(head.Segments) != 1 {
		t.Fatalf("head: %+v", head)
	}
	ref := head.Segments[0]
	segment := s.inventory.object(inventory.SegmentPrefix+ref.SHA256, now)
	if digestOf(segment) != "sha256:"+ref.SHA256 || int64(len(segment)) != ref.Bytes {
		t.Errorf("the segment is not %+v", ref)
	}
	got, want := map[string]int64{}, map[string]int64{}
	for r, err := range inventory.Records(bytes.NewReader(segment)) {
		if err != nil {
			t.Fatal(err)
		}
		got[r.Digest.String()] = r.Size
	}
	for digest, c := range s.blobs {
		want[digest] = int64(len(c.data))
	}
	if diff := cmp.Diff(want, got); diff != "" || ref.Count != uint64(len(want)) {
		t.Errorf("%d records (-want +got):\n%s", ref.Count, diff)
	}
	later, err := inventory.ParseHead(s.inventory.object(inventory.HeadName, now.Add(48*time.Hour)))
	if err != nil || later.Generation <= head.Generation || !later.WrittenAt.After(head.WrittenAt) {
		t.Errorf("two days later: %+v, %v", later, err)
	}
	if s.inventory.object("seg/"+ref.SHA256[1:], now) != nil {
		t.Error("there is something nobody wrote")
	}
}

// TestInventoryTypes: the stores send the types of docs/inventory.md, so that admission has nothing to warn about.
func TestInventoryTypes(t *testing.T) {
	img, err := newImage()
	if err != nil {
		t.Fatal(err)
	}
	s := img.store("somewhere", http.StatusForbidden)
	for path, want := range map[string]string{
		inventory.HeadName: "application/json", inventory.SegmentPrefix + s.inventory.ref.SHA256: "application/octet-stream",
	} {
		rw := httptest.NewRecorder()
		s.serve(rw, httptest.NewRequest(http.MethodGet, inventoryRoot+path, nil))
		if got := rw.Result().Header.Get("Content-Type"); rw.Code != http.StatusOK || got != want {
			t.Errorf("%s: %d, %q, want %q", path, rw.Code, got, want)
		}
	}
}
