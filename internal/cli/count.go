package cli

import (
	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
)

// Count is a number of things as people read it: "1 blob", "2,000 blobs". many is the plural where a rule of English does not
// give it.
func Count(n int64, one string, many ...string) string {
	plural := ""
	if len(many) > 0 {
		plural = many[0]
	}
	return humanize.Comma(n) + " " + english.PluralWord(int(n), one, plural)
}
