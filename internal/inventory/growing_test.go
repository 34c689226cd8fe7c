package inventory

import "testing"

// The size that a head states reserves no memory: memory grows with the bytes that arrive.
func TestRoomFollowsBytes(t *testing.T) {
	const stated = 200 << 20
	g := growing{most: stated}
	piece := make([]byte, 32<<10)
	for len(g.bytes) < 4<<20 {
		if _, err := g.Write(piece); err != nil {
			t.Fatal(err)
		}
		if cap(g.bytes) > 2*len(g.bytes) {
			t.Fatalf("room for %d bytes, %d are there", cap(g.bytes), len(g.bytes))
		}
	}
	g = growing{most: 100 << 10}
	for range 4 {
		_, _ = g.Write(piece[:25<<10])
	}
	if len(g.bytes) != 100<<10 || cap(g.bytes) != 100<<10 {
		t.Errorf("%d bytes in room for %d", len(g.bytes), cap(g.bytes))
	}
}
