package inventorytest

import (
	"fmt"
	"strings"
	"time"

	"ociproxy/internal/inventory"
)

// Lie is a head that cannot be true.
type Lie struct {
	Name string
	Head string
	Want string // part of the error that refuses it
}

// Truth returns a valid head as text: one segment of two blobs by sha256.
func Truth(store, segment string, now time.Time) string {
	return fmt.Sprintf(`{"version":1,"store":%q,"generation":%d,"writtenAt":%q,"segments":[{"sha256":%q,"count":2,"bytes":100}]}`,
		store, now.Unix(), now.UTC().Format(time.RFC3339), segment)
}

// Lies returns all ways in which a head can be wrong by itself. Every reader, whether it reads from a store, from disk
// or from a bucket, refuses such a head with an error that wraps [inventory.ErrHead], and continues unharmed. Apart
// from the lie, each head is newer than [Truth].
func Lies(store, segment string, now time.Time) (lies []Lie) {
	good := Truth(store, segment, now.Add(time.Second))
	replace := func(old, new string) string {
		if strings.Count(good, old) != 1 {
			panic(old + " is not in the head once")
		}
		return strings.Replace(good, old, new, 1)
	}
	generation := fmt.Sprintf(`"generation":%d`, now.Unix()+1)
	written := fmt.Sprintf(`"writtenAt":%q`, now.Add(time.Second).UTC().Format(time.RFC3339))
	times := func(generation uint64, at time.Time) string {
		return strings.Replace(replace(written, fmt.Sprintf(`"writtenAt":%q`, at.UTC().Format(time.RFC3339))),
			fmt.Sprintf(`"generation":%d`, now.Unix()+1), fmt.Sprintf(`"generation":%d`, generation), 1)
	}
	ref := `{"sha256":"` + segment + `","count":2,"bytes":100}`
	add := func(name, head, want string) { lies = append(lies, Lie{name, head, want}) }

	add("no JSON", "hello", "invalid character")
	add("list", "[]", "unmarshal")
	add("truncated", good[:len(good)-1], "unexpected end")
	add("twice", good+good, "after top-level value")
	add("too long", "{"+strings.Repeat(" ", inventory.MaxHeadBytes)+good[1:], "more than 65536 bytes")

	add("no version", replace(`"version":1,`, ""), "no version")
	add("newer version", replace(`"version":1`, `"version":2,"more":true`), "version 2, this program reads version 1")
	for _, key := range []string{"version", "store", "generation", "writtenAt", "segments", "sha256", "count", "bytes"} {
		upper := strings.ToUpper(key[:1]) + key[1:]
		add(key+" in another case", replace(`"`+key+`"`, `"`+upper+`"`), "unknown object member name")
		add(key+" in two cases", replace(`"`+key+`"`, `"`+upper+`":0,"`+key+`"`), "unknown object member name")
	}
	add("unknown field", replace(`"version":1`, `"version":1,"extra":1`), `unknown object member name "extra"`)
	add("unknown in segment", replace(`"count":2`, `"count":2,"extra":1`), `unknown object member name "extra"`)
	add("folded letters", replace(`"store"`, `"ſtore"`), "unknown object member name")
	add("generation twice", replace(generation, `"generation":1,`+generation), `duplicate object member name "generation"`)
	add("store twice", replace(`"store":`, `"store":"b","store":`), `duplicate object member name "store"`)
	add("count twice", replace(`"count":2`, `"count":2,"count":2`), `duplicate object member name "count"`)
	add("list in a list", replace(ref, "["+ref+"]"), "unmarshal JSON array")

	add("no store", replace(`"store":"`+store+`"`, `"store":""`), "no store")
	add("no time", replace(written+",", ""), "no writtenAt")
	add("odd time", replace(written, `"writtenAt":"yesterday"`), "yesterday")
	add("in the future", times(uint64(now.Unix()+1), now.Add(inventory.MaxSkew+time.Minute)), "in the future")
	add("far in the future", times(uint64(now.Unix()+1), now.AddDate(100, 0, 0)), "in the future")
	add("at the end of time", times(253402300799, time.Unix(253402300799, 0)), "in the future")

	add("no generation", replace(generation+",", ""), "generation 0")
	add("negative generation", replace(generation, `"generation":-7`), "unmarshal")
	add("generation of a fraction", replace(generation, `"generation":7.5`), "unmarshal")
	add("the last generation", times(1<<53-1, now), "more than can be by")
	add("the last generation, in the future", times(1<<53-1, now.AddDate(100, 0, 0)), "more than can be by")
	add("generation of all bits", times(1<<64-1, now), "more than can be by")
	add("generation that had no time", times(uint64(now.Unix()+inventory.MaxAhead+1), now), "more than can be by")
	add("before all time", times(1, time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)), "more than can be by")
	add("images dropped later", replace(`"version":1`, fmt.Sprintf(`"version":1,"imagesDropped":%d`, now.Unix()+2)), "images dropped in generation")

	add("no segments", replace("["+ref+"]", "null"), "no list of segments")
	add("segments missing", replace(`,"segments":[`+ref+`]`, ""), "no list of segments")
	add("hash of a path", replace(segment, "../../"+segment[6:]), "not 64 lower-case")
	add("upper-case hash", replace(segment, "ABCDEF"+segment[6:]), "not 64 lower-case")
	add("long hash", replace(segment, strings.Repeat("a", 40000)), "not 64 lower-case")
	add("no records", replace(`"count":2`, `"count":0`), "0 records are not in")
	add("sizes do not fit", replace(`"bytes":100`, `"bytes":101`), "101 bytes cannot be 2 records")
	add("negative size", replace(`"bytes":100`, `"bytes":-100`), "-100 bytes cannot be 2 records")
	add("overflowing count", replace(`"count":2`, `"count":485440633518672410`), "records are not in")
	add("too large", replace(`"count":2,"bytes":100`, `"count":200000000,"bytes":7600000024`), "more than 4294967296")
	add("listed twice", replace(ref, ref+","+ref), "listed twice")
	add("too many", replace(ref, ref+strings.Repeat(","+ref, inventory.MaxSegments)), "segments, more than")
	add("merged", replace(`"version":1`, `"version":1,"merged":["x"]`), "merged: not")
	add("merged, much", replace(`"version":1`, `"version":1,"merged":[`+strings.Repeat(`"`+segment+`",`, 64)+`"`+segment+`"]`), "merged: not")
	return lies
}
