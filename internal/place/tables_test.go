package place

import "testing"

func TestEveryEmbeddedRow(t *testing.T) {
	if _, err := readTables(files.ReadFile); err != nil {
		t.Fatal(err)
	}
	m := Embedded()
	if got := len(m.Sites()); got < 300 {
		t.Fatalf("%d sites", got)
	}
}
