package store

import (
	"context"
	"io"
	"runtime"
	"sync"
	"testing"
)

// distant is a content that never arrives.
type distant struct {
	Content
	asked *sync.WaitGroup
}

func (d distant) Wait(ctx context.Context, _ int64) error {
	d.asked.Done()
	<-ctx.Done()
	return ctx.Err()
}

// Parts that wait for their bytes need no memory: a slow source and thirty stores make a thousand of them.
func TestWaitingPartsTakeNoBuffers(t *testing.T) {
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const parts = 1000
	before := inUse()
	ctx, cancel := context.WithCancel(t.Context())
	var asked, ended sync.WaitGroup
	asked.Add(parts)
	for range parts {
		ended.Go(func() {
			if _, err := sum(ctx, distant{asked: &asked}, 0, 16<<20, io.Discard); err == nil {
				t.Error("something came")
			}
		})
	}
	asked.Wait()
	if grown := int64(inUse()) - int64(before); grown > 16<<20 {
		t.Errorf("%d parts that wait take %d MiB", parts, grown>>20)
	}
	cancel()
	ended.Wait()
}

// The chunks of any number of uploads take a limited amount of memory, and no upload waits for another.
func TestChunks(t *testing.T) {
	const uploads = 240 // eight for each of thirty buckets
	var sizes int
	var give []func()
	for range uploads {
		size, done := takeChunk(1 << 30)
		if size < gcsQuantum || size > gcsChunk || size%gcsQuantum != 0 {
			t.Errorf("a chunk of %d bytes", size)
		}
		sizes, give = sizes+size, append(give, done)
	}
	if most := gcsMemory + uploads*gcsQuantum; sizes > most {
		t.Errorf("%d uploads take %d MiB, want at most %d", uploads, sizes>>20, most>>20)
	}
	for _, done := range give {
		done()
	}
	for bytes, want := range map[int64]int{0: gcsQuantum, gcsQuantum - 1: gcsQuantum, gcsQuantum: 2 * gcsQuantum, 1 << 30: gcsChunk} {
		size, done := takeChunk(bytes)
		if size != want {
			t.Errorf("a chunk of %d for %d bytes, want %d", size, bytes, want)
		}
		done()
	}
}
