package inventory

import "testing"

// A wrong size from one store makes the digest's size unknown, and has no further effect at any store. No order of
// events makes the wrong size believed.
func TestSizes(t *testing.T) {
	const right, wrong = 1000, 1 << 38
	d := sha256Of(1)
	held := func(size int64) Record { return Record{d, size, Blob} }
	gone := Record{Digest: d, Kind: Tombstone}
	type step struct {
		store   int
		replace bool // all the store's segments are replaced; false: this one is added
		record  Record
	}
	for name, tt := range map[string]struct {
		turns [][]step // each makes one table
		want  int64
	}{
		"agree":            {[][]step{{{0, false, held(right)}, {1, false, held(right)}}}, right},
		"largest":          {[][]step{{{0, false, held(MaxSize)}}}, -1},
		"zero":             {[][]step{{{0, false, held(0)}, {1, false, held(0)}}}, 0},
		"zero and other":   {[][]step{{{0, false, held(0)}, {1, false, held(right)}}}, -1},
		"disagree at once": {[][]step{{{0, false, held(right)}, {1, false, held(wrong)}}}, -1},
		"wrong later":      {[][]step{{{0, false, held(right)}}, {{1, false, held(wrong)}}}, -1},
		"wrong first":      {[][]step{{{0, false, held(wrong)}}, {{1, false, held(right)}}}, -1},
		"wrong twice":      {[][]step{{{0, false, held(right)}, {1, false, held(wrong)}}, {{1, false, held(wrong)}}}, -1},
		"own correction":   {[][]step{{{0, false, held(wrong)}}, {{0, false, held(right)}}}, right},
		"own, at once":     {[][]step{{{0, false, held(wrong)}, {0, false, held(right)}}}, right},
		"own, among others": {[][]step{
			{{0, false, held(wrong)}, {0, false, held(right)}, {1, false, held(right)}},
		}, right},
		"removed at once": {[][]step{{{0, false, held(right)}, {1, false, held(wrong)}, {1, false, gone}}}, right},
		"wrong, then read again": {[][]step{
			{{0, false, held(right)}, {1, false, held(wrong)}}, {{0, true, held(right)}, {1, true, held(right)}},
		}, right},
		"wrong, then gone, then read again": {[][]step{
			{{0, false, held(right)}, {1, false, held(wrong)}}, {{1, false, gone}}, {{0, true, held(right)}},
		}, right},
	} {
		t.Run(name, func(t *testing.T) {
			all, table := shelf{}, &Table{}
			for _, turn := range tt.turns {
				in := buildInput{old: table, keep: keepNone(), open: all.open}
				in.keep[0], in.keep[1] = 0, 1
				for _, s := range turn {
					if s.replace {
						in.keep[s.store] = -1
					}
					in.changes = addChange(in.changes, s.store, all.add(t, s.record))
				}
				next, err := build(in)
				if err != nil {
					t.Fatal(err)
				}
				table = next
			}
			if e, ok := table.Lookup(d); !ok || e.Size != tt.want {
				t.Errorf("entry %+v, %v, want size %d", e, ok, tt.want)
			}
		})
	}
}
