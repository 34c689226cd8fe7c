package bill

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/place"
)

var update = flag.Bool("update", false, "write the tables into docs/cost.md")

const page = "../../docs/cost.md"

// TestPageHasTheTables: docs/cost.md shows what the code does.
func TestPageHasTheTables(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	for name, table := range map[string]string{"items": itemsTable(t), "scopes": scopesTable(), "free": freeTable(), "units": unitsTable()} {
		mark, end := "<!-- "+name+" -->\n", "<!-- end -->"
		before, rest, ok := strings.Cut(got, mark)
		was, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("%s has no place for the table %s", page, name)
		}
		want := "\n" + table + "\n"
		if *update {
			got = before + mark + want + end + after
			continue
		}
		if diff := cmp.Diff(want, was); diff != "" {
			t.Errorf("table %s: run go test ./internal/bill -run Page -update (-want +got):\n%s", name, diff)
		}
	}
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func table(header string, rows [][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.ReplaceAll(header, ",", " |"), strings.Repeat("---|", strings.Count(header, ",")+1))
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r, " | "))
	}
	return b.String()
}

func itemsTable(t *testing.T) string {
	var rows [][]string
	b := book(t, stores)
	for _, s := range []State{Modelled, FromBill, NotCounted} {
		for _, i := range b.Items() {
			if i.State == s {
				name := i.Name
				if s == Modelled {
					name = "`" + name + "`"
				}
				rows = append(rows, []string{name, i.What, strings.TrimSuffix(string(s), ", because"), i.Why})
			}
		}
	}
	return table("item, what is billed, how, quantity or reason", rows)
}

func scopesTable() string {
	words := map[string]string{"source": "each region or zone of the source", "client": "each area of the client"}
	t, _ := embedded()
	var rows [][]string
	for _, s := range t.scopes {
		rows = append(rows, []string{s.Provider, "`" + s.Item + "`", words[s.By], s.Note, sure(s.Estimate) + ", " + s.Date})
	}
	slices.SortFunc(rows, slices.Compare)
	return table("provider, item, one ladder for, what counts together, source", rows)
}

func freeTable() string {
	t, _ := embedded()
	var rows [][]string
	for _, a := range t.free {
		rows = append(rows, []string{a.Provider, "`" + strings.Join(a.Items, "` `") + "`", amount(a.Quantity, a.Items[0]), a.Note, sure(a.Estimate) + ", " + a.Date})
	}
	return table("provider, items, free in a month, note, source", rows)
}

func amount(n float64, item string) string {
	switch {
	case strings.HasPrefix(item, "requests"):
		return fmt.Sprintf("%.0f million requests", n/1e6)
	case n == float64(int64(n)/(1<<30)*(1<<30)):
		return fmt.Sprintf("%.0f GiB", n/(1<<30))
	}
	return fmt.Sprintf("%.0f GB", n/1e9)
}

func sure(estimate bool) string {
	if estimate {
		return "estimate"
	}
	return "read"
}

func unitsTable() string {
	by := map[string][]string{}
	for _, seller := range append(place.Embedded().Clouds(), place.CDNs()...) {
		if seller != "other" {
			unit := string(place.UnitOf(seller))
			by[unit] = append(by[unit], seller)
		}
	}
	var rows [][]string
	for _, unit := range []string{"GiB", "GB"} {
		slices.Sort(by[unit])
		rows = append(rows, []string{unit, map[string]string{"GiB": "2³⁰", "GB": "10⁹"}[unit], strings.Join(by[unit], ", ")})
	}
	return table("unit, bytes, providers", rows)
}

// TestItemsAreComplete: every item that a meter can have is in the list, once, and what can be priced in the config too.
func TestItemsAreComplete(t *testing.T) {
	b := book(t, stores)
	seen := map[string]State{}
	for _, i := range b.Items() {
		if _, dup := seen[i.Name]; dup || i.What == "" || i.Why == "" {
			t.Errorf("item %+v is there twice, or says nothing", i)
		}
		seen[i.Name] = i.State
	}
	for _, m := range append(meters(b), b.Storage("s3")) {
		if _, ok := seen[m.Item]; !ok {
			t.Errorf("no item %q", m.Item)
		}
	}
	for _, name := range billItems() {
		if seen[name] != Modelled {
			t.Errorf("%q can be priced in the config, and is %q", name, seen[name])
		}
	}
}
