package publish

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ociproxy/internal/store"
)

// TestAudit: no entry is lost when several append at once, a full object is followed by another, and an entry that
// cannot be read hides no other.
func TestAudit(t *testing.T) {
	b := open(t, t.TempDir()).Bucket
	at := time.Date(2026, 11, 30, 23, 59, 0, 0, time.UTC)
	log := &Audit{Bucket: b, Now: func() time.Time { return at }}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := log.Append(t.Context(), Entry{By: "me", Action: "off", Override: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	full := "nonsense\n" + strings.Repeat(strings.Repeat("x", 1023)+"\n", maxPart>>10-1) + strings.Repeat("x", 1013) + "\n"
	if _, err := b.Put(t.Context(), partName(at.AddDate(0, 1, 0), 1), store.Bytes([]byte(full)), auditHeader, ""); err != nil {
		t.Fatal(err)
	}
	if err := log.Append(t.Context(), Entry{Time: at.AddDate(0, 1, 0), Action: "later"}); err != nil {
		t.Fatal(err)
	}
	if err := log.Append(t.Context(), Entry{Detail: strings.Repeat("x", maxEntry)}); err == nil {
		t.Error("an entry without bound")
	}
	got, err := log.Entries(t.Context(), at.Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range got {
		count[e.Action]++
	}
	if count["off"] != 8 || count["later"] != 1 || count["unreadable"] != maxPart>>10+1 {
		t.Error(count)
	}
	if got, err := log.Entries(t.Context(), at.AddDate(0, 1, 0)); err != nil || got[len(got)-1].Action != "later" {
		t.Error(got, err)
	}
}
