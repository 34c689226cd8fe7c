package inventory

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const goodHash = "2073a6612123e0dda31d02e6745333b02a5dba61ce2e112e11460ec097c0ed09"

const goodHead = `{"version":1,"store":"s3-use1","generation":7,"writtenAt":"2026-07-29T07:05:53Z",
"segments":[{"sha256":"` + goodHash + `","count":2,"bytes":100}]}`

func TestParseHead(t *testing.T) {
	got, err := ParseHead([]byte(goodHead))
	if err != nil {
		t.Fatal(err)
	}
	want := &Head{
		Version: 1, Store: "s3-use1", Generation: 7, WrittenAt: time.Date(2026, 7, 29, 7, 5, 53, 0, time.UTC),
		Segments: []SegmentRef{{goodHash, 2, 100}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	body, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseHead(body); err != nil || cmp.Diff(want, again) != "" {
		t.Errorf("after a round: %v, %v", again, err)
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte(goodHead))
	f.Add([]byte(`{"version":1,"store":"a","generation":1,"writtenAt":"1970-01-01T00:00:01Z","segments":[]}`))
	f.Add([]byte(strings.Replace(goodHead, `"version":1`, `"version":1,"merged":["`+goodHash+`"],"imagesDropped":7`, 1)))
	f.Add([]byte(strings.Replace(goodHead, `"version":1`, `"version":1,"merged":[]`, 1))) // means none
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte("<!doctype html>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := ParseHead(body)
		if err != nil {
			if !errors.Is(err, ErrHead) {
				t.Errorf("error %v does not wrap ErrHead", err)
			}
			return
		}
		again, err := h.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		// No merged list and an empty one mean the same.
		if got, err := ParseHead(again); err != nil && len(again) <= MaxHeadBytes || err == nil && !cmp.Equal(h, got, cmpopts.EquateEmpty()) {
			t.Errorf("read %v, wrote %s, read %v, %v", h, again, got, err)
		}
	})
}
