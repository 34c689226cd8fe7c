package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inExample runs a command of docs/reconciling-bills.md in the directory of its example.
func inExample(t *testing.T, words ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), words, emptyEnv, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// TestReconcilingBills: the page prints what its commands print, to the last letter.
func TestReconcilingBills(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reconciling-bills.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join("..", "..", "examples", "billing"))
	days := []string{"--begin", "2026-10-01", "--end", "2026-11-01"}
	code, stdout, stderr := inExample(t, append([]string{"report", "--config", "config.yaml", "--logs", "s3-access.log",
		"--billing", "focus-aws-2026-10.csv"}, days...)...)
	if code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	_, shown, _ := strings.Cut(string(page), "```text\n")
	shown, _, _ = strings.Cut(shown, "```")
	_, printed, _ := strings.Cut(stdout, "focus-aws-2026-10.csv: ")
	if d := cmp.Diff(shown, "focus-aws-2026-10.csv: "+printed); d != "" {
		t.Errorf("-the page +the command:\n%s", d)
	}

	code, stdout, stderr = inExample(t, append([]string{"report", "focus", "--config", "config.yaml", "--logs", "s3-access.log"}, days...)...)
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if code != 0 || err != nil || len(rows) < 2 {
		t.Fatalf("code %d, %v: %s", code, err, stderr)
	}
	var usd, without float64
	for _, row := range rows[1:] {
		n, err := strconv.ParseFloat(row[slices.Index(rows[0], "EffectiveCost")], 64)
		if err != nil {
			t.Fatal(err)
		}
		usd += n
		if s := row[slices.Index(rows[0], "x_CostWithoutProxy")]; s != "" {
			if n, err = strconv.ParseFloat(s, 64); err != nil {
				t.Fatal(err)
			}
			without += n
		}
	}
	// 368 GiB beyond the free 100 at 9 cents, 60 requests; from Google 468 GiB at 12 cents.
	if got := strconv.FormatFloat(usd, 'f', 2, 64) + " " + strconv.FormatFloat(without, 'f', 2, 64); got != "33.12 56.16" {
		t.Errorf("the estimate sums to %s", got)
	}
}

// TestBillingRefused: what --billing and --exchange cannot take, with what to do about it.
func TestBillingRefused(t *testing.T) {
	t.Chdir(filepath.Join("..", "..", "examples", "billing"))
	euro := filepath.Join(t.TempDir(), "euro.csv")
	data, err := os.ReadFile("focus-aws-2026-10.csv")
	if err == nil {
		err = os.WriteFile(euro, []byte(strings.ReplaceAll(string(data), ",USD,", ",EUR,")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		words, want string
		code        int
	}{
		{"--billing nothing.csv", "no such file", 1},
		{"--billing config.yaml", "no cost data in the format FOCUS", 1},
		{"--billing " + euro, "--exchange EUR=USD", 2},
		{"--billing " + euro + " --exchange EUR", "for example --exchange EUR=1.08", 2},
		{"--billing " + euro + " --exchange USD=1", "for example --exchange EUR=1.08", 2},
		{"--billing " + euro + " --exchange EUR=1.5", "", 0},
	} {
		code, _, stderr := inExample(t, append(strings.Fields("report --config config.yaml --logs s3-access.log --begin 2026-10-01 --end 2026-11-01"),
			strings.Fields(test.words)...)...)
		if code != test.code || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: code %d, %s", test.words, code, stderr)
		}
	}
}
