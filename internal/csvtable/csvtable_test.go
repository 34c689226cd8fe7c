package csvtable_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/csvtable"
)

func TestRead(t *testing.T) {
	columns := []string{"id", "what"}
	var got [][]string
	err := csvtable.Read([]byte("# a comment\nid,what\na,\"b, c\"\n# another\nd,\n"), columns, func(f []string) error {
		got = append(got, f)
		return nil
	})
	if diff := cmp.Diff([][]string{{"a", "b, c"}, {"d", ""}}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for body, want := range map[string]string{
		"":                 "want columns [id what]",
		"id,why\n":         "want columns [id what]",
		"id,what\na\n":     "wrong number of fields",
		"id,what\na,bad\n": "row a,bad: refused",
	} {
		err := csvtable.Read([]byte(body), columns, func([]string) error { return errors.New("refused") })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", body, err, want)
		}
	}
}
