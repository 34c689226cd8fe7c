package cli

import (
	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
)

// Count returns a number of things in the form that people read: "1 blob", "2,000 blobs". many is the plural, for words
// whose plural is irregular.
func Count(n int64, one string, many ...string) string {
	plural := ""
	if len(many) > 0 {
		plural = many[0]
	}
	return humanize.Comma(n) + " " + english.PluralWord(int(n), one, plural)
}
