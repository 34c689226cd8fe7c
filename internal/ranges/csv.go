package ranges

import (
	"fmt"
	"strings"

	"ociproxy/internal/place"
)

// parseCSV reads the operator's own list, one "prefix,place" per line. It ignores further columns, and comments after
// '#'. A first line "cidr,place" is a heading. A place without a region ("aws") is a cloud whose region is not known.
func parseCSV(data []byte) ([]row, error) {
	var rows []row
	first := true
	err := eachRecord(data, func(rec []string) error {
		heading := first && strings.EqualFold(rec[0], "cidr")
		first = false
		if heading {
			return nil
		}
		if len(rec) < 2 {
			return fmt.Errorf("want prefix,place")
		}
		p, err := parseHostOrPrefix(rec[0])
		if err != nil {
			return err
		}
		cloud, region, _ := strings.Cut(rec[1], "/")
		if _, err := place.Parse(rec[1]); err != nil && (region != "" || !plainName(cloud)) {
			return err
		}
		rows = append(rows, row{prefix: p, cloud: strings.Clone(cloud), region: strings.Clone(region)})
		return nil
	})
	return rows, err
}

// plainName reports whether s looks like the name of a cloud.
func plainName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
