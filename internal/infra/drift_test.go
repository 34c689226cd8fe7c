package infra

import (
	"slices"
	"strings"
	"testing"
)

func TestCompareVariables(t *testing.T) {
	of := func(stores string) *Variables {
		v, _, err := Export(parse(t, stores))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	want := of(s3 + gcs + azure)
	have := of(strings.Replace(s3, "123456789012", "210987654321", 1) + strings.Replace(gcs, "'off'", "draining", 1) + r2)
	have.Front.Port = 80
	var got []string
	for _, f := range CompareVariables(want, have) {
		got = append(got, f.Target+" "+f.What+" "+string(f.Result)+": "+f.Detail)
		if f.Result == Drift && f.Remedy == "" {
			t.Errorf("without a remedy: %+v", f)
		}
	}
	if expect := []string{
		"az store drift: the file does not have the store",
		`gcs state drift: the file has "draining", the config "off"`,
		"s3 account drift: the file has aws_stores of aws/210987654321, the config aws_stores of aws/123456789012",
		"r2 store drift: the file has a store that the config does not have: r2_stores of 0123",
		"front port drift: the file has 80, the config 8080",
	}; !slices.Equal(got, expect) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(expect, "\n"))
	}
	for _, f := range CompareVariables(want, want) {
		if f.Result != OK {
			t.Errorf("%+v", f)
		}
	}
}

func TestRemedies(t *testing.T) {
	all := []Finding{
		{Target: "a", What: "x", Result: Drift, Remedy: "do it"}, {Target: "a", What: "y", Result: OK, Remedy: "not this"},
		{Target: "b", What: "x", Result: Unknown, Remedy: "look"}, {Target: "c", What: "x", Result: Drift, Remedy: "do it"},
		{Target: "d", What: "x", Result: Drift, Remedy: "do it"}, {Target: "e", What: "x", Result: Drift, Remedy: "do it"},
	}
	got := strings.Join(Remedies(all), "\n")
	if want := "a x, c x, d x and 1 more: do it\nb x: look"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if Count(all, Drift) != 4 {
		t.Error(Count(all, Drift))
	}
}
