package rollup

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// Suffix is the end of every file's name.
const Suffix = ".parquet"

// dayPart is the part of a name before the day. Query engines know the form NAME=VALUE as a partition.
const dayPart = "log_day="

// Undated is the day of log objects whose names have no day.
const Undated = "undated"

// Name returns the name of the file of a kind: of the logs in one place, of one day. Every run makes the same name, so
// that one replaces what another made.
func Name(kind Kind, day, logs string) string {
	hash := fnv.New64a()
	hash.Write([]byte(logs)) // never fails
	short := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, logs)
	short = strings.Trim(short[max(0, len(short)-40):], "-")
	return fmt.Sprintf("%s/%s%s/%s-%016x%s", kind, dayPart, day, short, hash.Sum64(), Suffix)
}
