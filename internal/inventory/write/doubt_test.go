package write_test

import (
	"testing"
	"testing/synctest"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
)

// A writer's swap succeeds, but the answer is lost. Before the writer looks again, another writer removes the blob and
// merges both changes. The first writer must see that its change was made, and must not bring the blob back.
func TestDoubtAfterCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &inventorytest.Bucket{}
		opt := write.Options{Store: store, TempDir: t.TempDir()}
		mine, other := write.New(b, opt), write.New(b, opt)
		if _, err := other.Apply(t.Context(), inventorytest.Blob(1)); err != nil {
			t.Fatal(err)
		}
		want := inventorytest.Holding{}
		want.Apply(inventorytest.Blob(1))
		state := 0
		b.Inject = func(op inventorytest.Op, key string) inventorytest.Fault {
			switch {
			case state == 0 && op == inventorytest.Put && key == inventory.HeadName:
				state = 1
				return inventorytest.Persisted
			case state == 1 && op == inventorytest.Get && key == inventory.HeadName:
				state = 2
				for i := range 20 {
					records := []inventory.Record{inventorytest.Blob(100 + i), inventorytest.Gone(2)}
					if _, err := other.Apply(t.Context(), records...); err != nil {
						t.Error(err)
					}
					want.Apply(records...)
				}
			}
			return inventorytest.None
		}
		if _, err := mine.Apply(t.Context(), inventorytest.Blob(2)); err != nil {
			t.Fatal(err)
		}
		if state != 2 {
			t.Fatal("the test did not do what it says")
		}
		same(t, want, held(t, b))
	})
}
