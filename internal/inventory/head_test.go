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

func TestParseHeadFaults(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(goodHead, old) {
			t.Fatalf("%q is not in the good head", old)
		}
		return strings.Replace(goodHead, old, new, 1)
	}
	segment := `{"sha256":"` + goodHash + `","count":2,"bytes":100}`
	for name, tt := range map[string]struct{ body, want string }{
		"empty":             {"", "unexpected end"},
		"html":              {"<html>", "invalid character"},
		"list":              {"[]", "cannot unmarshal"},
		"truncated":         {goodHead[:len(goodHead)-1], "unexpected end"},
		"twice":             {goodHead + goodHead, "after top-level value"},
		"no version":        {replace(`"version":1,`, ""), "no version"},
		"newer":             {replace(`"version":1`, `"version":2,"more":true`), "version 2, this program reads version 1"},
		"unknown field":     {replace(`"version":1`, `"version":1,"extra":1`), "unknown field"},
		"unknown in list":   {replace(`"count":2`, `"count":2,"extra":1`), "unknown field"},
		"no store":          {replace("s3-use1", ""), "no store"},
		"no generation":     {replace(`"generation":7,`, ""), "generation 0"},
		"negative":          {replace(`"generation":7`, `"generation":-7`), "cannot unmarshal"},
		"huge generation":   {replace(`"generation":7`, `"generation":9007199254740992`), "is not in 1 to"},
		"no time":           {replace(`"writtenAt":"2026-07-29T07:05:53Z",`, ""), "no writtenAt"},
		"odd time":          {replace("2026-07-29T07:05:53Z", "yesterday"), "yesterday"},
		"no segments":       {replace("["+segment+"]", "null"), "no list of segments"},
		"merged":            {replace(`"version":1`, `"version":1,"merged":["x"]`), "merged: not"},
		"merged, much":      {replace(`"version":1`, `"version":1,"merged":[`+strings.Repeat(`"`+goodHash+`",`, 64)+`"`+goodHash+`"]`), "merged: not"},
		"images dropped":    {replace(`"version":1`, `"version":1,"imagesDropped":8`), "images dropped in generation 8, this is 7"},
		"hash of path":      {replace(goodHash, "../../"+goodHash[6:]), "not 64 lower-case"},
		"upper-case hash":   {replace(goodHash, strings.ToUpper(goodHash)), "not 64 lower-case"},
		"long hash":         {replace(goodHash, strings.Repeat("a", 40000)), "not 64 lower-case"},
		"no records":        {replace(`"count":2`, `"count":0`), "0 records are not in"},
		"sizes do not fit":  {replace(`"bytes":100`, `"bytes":101`), "101 bytes cannot be 2 records"},
		"overflowing count": {replace(`"count":2`, `"count":485440633518672410`), "records are not in"},
		"too large":         {replace(`"count":2,"bytes":100`, `"count":200000000,"bytes":7600000024`), "more than 4294967296"},
		"listed twice":      {replace(segment, segment+","+segment), "listed twice"},
		"too many":          {replace(segment, segment+strings.Repeat(","+segment, MaxSegments)), "segments, more than"},
		"too long":          {goodHead + strings.Repeat(" ", MaxHeadBytes), "more than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseHead([]byte(tt.body))
			if !errors.Is(err, ErrHead) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("an error of %d characters", len(err.Error()))
			}
		})
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte(goodHead))
	f.Add([]byte(`{"version":1,"store":"a","generation":1,"writtenAt":"0001-01-01T00:00:01Z","segments":[]}`))
	f.Add([]byte(strings.Replace(goodHead, `"version":1`, `"version":1,"merged":["`+goodHash+`"],"imagesDropped":7`, 1)))
	f.Add([]byte(strings.Replace(goodHead, `"version":1`, `"version":1,"merged":[]`, 1))) // as good as none
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
		// No merged and an empty list of them mean the same.
		if got, err := ParseHead(again); err != nil && len(again) <= MaxHeadBytes || err == nil && !cmp.Equal(h, got, cmpopts.EquateEmpty()) {
			t.Errorf("read %v, wrote %s, read %v, %v", h, again, got, err)
		}
	})
}
