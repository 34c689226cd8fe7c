// Package csvtable reads the tables that are part of the program: comma-separated values with a header, and comments
// that begin with #.
//
// It must not know what the tables say.
package csvtable

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
)

// Read passes every row below the header to row. Its error names the first row that is refused.
func Read(body []byte, columns []string, row func(f []string) error) error {
	r := csv.NewReader(bytes.NewReader(body))
	r.Comment = '#'
	r.FieldsPerRecord = len(columns)
	all, err := r.ReadAll()
	if err != nil {
		return err
	}
	if len(all) == 0 || !slices.Equal(all[0], columns) {
		return fmt.Errorf("want columns %v", columns)
	}
	for _, f := range all[1:] {
		if err := row(f); err != nil {
			return fmt.Errorf("row %s: %w", strings.Join(f, ","), err)
		}
	}
	return nil
}
