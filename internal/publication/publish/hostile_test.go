package publish_test

import (
	"bytes"
	"fmt"
	"testing"

	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publicationtest"
	"ociproxy/internal/store"
)

// TestVandalsDoNotStopTheSwitch: whoever can write to the bucket fills it with documents that are too large and rings
// that nobody made. The overrides can be changed all the same.
func TestVandalsDoNotStopTheSwitch(t *testing.T) {
	s := publicationtest.New(t, t.TempDir())
	s.Put("one", "all")
	put := func(name string, text []byte) {
		t.Helper()
		if _, err := s.Bucket.Put(t.Context(), name, store.Bytes(text), store.Header{}, ""); err != nil {
			t.Fatal(err)
		}
	}
	put("rings/huge/head.json", bytes.Repeat([]byte(" "), publication.MaxDocument+1))
	put("overrides.json", bytes.Repeat([]byte(" "), publication.MaxDocument+1))
	for i := range 120 {
		put(fmt.Sprintf("rings/r%d/head.json", i), []byte("{}"))
	}
	st := s.State()
	if st.Faults["rings/huge/head.json"] == nil || st.Faults["overrides.json"] == nil || st.Faults["rings/"] == nil || st.Heads["all"] == nil {
		t.Errorf("%v %v", st.Faults, st.Rings())
	}
	s.Replace = true
	s.Off("s3")
	if o := s.State().Overrides; o == nil || len(o.Overrides) != 1 {
		t.Errorf("%+v", o)
	}
}
