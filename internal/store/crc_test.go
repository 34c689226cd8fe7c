package store

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

func TestJoinCRC(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 300_000)
	random.Read(data)
	want := crc32.Checksum(data, castagnoli)
	for _, cut := range []int{0, 1, 7, 8, 255, 256, 65536, 200_001, len(data)} {
		a, b := data[:cut], data[cut:]
		got := joinCRC(crc32.Checksum(a, castagnoli), crc32.Checksum(b, castagnoli), int64(len(b)))
		if got != want {
			t.Errorf("cut at %d: %08x, want %08x", cut, got, want)
		}
	}
}
