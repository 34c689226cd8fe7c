package solvetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"ociproxy/internal/plan/solve"
)

// WriteLP writes a problem in CPLEX's LP format: a variable y for each site, and x for each option. No option may have
// Instead, and Count must be nil. Where the order of a client and its costs disagree, a row for each option
// says that an open site serves the client unless a better one does.
func WriteLP(to io.Writer, p *solve.Problem) error {
	w := bufio.NewWriter(to)
	usd, ms := 1.0, p.PerMS
	if math.IsInf(ms, 1) {
		usd, ms = 0, 1
	}
	term := func(f float64, format string, args ...any) {
		if f != 0 {
			fmt.Fprintf(w, " %+.17g "+format+"\n", append([]any{f}, args...)...)
		}
	}
	money := func(usd, ms float64) {
		for s, site := range p.Sites {
			term(usd*site.USD, "y%d", s)
		}
		for c := range p.Clients {
			for k, o := range p.Clients[c].Options {
				term(usd*o.USD+ms*o.MS, "x%d_%d", c, k)
			}
		}
	}
	fmt.Fprintln(w, "Minimize\n obj:")
	money(usd, ms)
	fmt.Fprintln(w, "Subject To")
	sum := func(sites []int) {
		for _, s := range sites {
			fmt.Fprintf(w, " + y%d\n", s)
		}
	}
	var all []int
	for s := range p.Sites {
		all = append(all, s)
	}
	if p.Min > 0 {
		sum(all)
		fmt.Fprintf(w, " >= %d\n", p.Min)
	}
	if p.Max > 0 {
		sum(all)
		fmt.Fprintf(w, " <= %d\n", p.Max)
	}
	for _, g := range p.Groups {
		sum(g.Sites)
		fmt.Fprintf(w, " >= %d\n", g.Min)
		if g.Max > 0 {
			sum(g.Sites)
			fmt.Fprintf(w, " <= %d\n", g.Max)
		}
	}
	if p.Budget > 0 {
		money(1, 0)
		fmt.Fprintf(w, " <= %.17g\n", p.Budget)
	}
	for c := range p.Clients {
		options := p.Clients[c].Options
		for k := range options {
			fmt.Fprintf(w, " + x%d_%d\n", c, k)
		}
		fmt.Fprintln(w, " = 1")
		last, agrees := math.Inf(-1), true
		for _, o := range options {
			v := usd*o.USD + ms*o.MS
			agrees, last = agrees && v >= last, v
		}
		agrees = agrees && p.Budget == 0
		for k, o := range options {
			if o.Site == solve.Always {
				if agrees {
					break
				}
			} else {
				fmt.Fprintf(w, " x%d_%d - y%d <= 0\n", c, k, o.Site)
				if agrees {
					continue
				}
			}
			for b := range k + 1 {
				fmt.Fprintf(w, " + x%d_%d\n", c, b)
			}
			if o.Site == solve.Always {
				fmt.Fprintln(w, " >= 1")
				break
			}
			fmt.Fprintf(w, " - y%d >= 0\n", o.Site)
		}
	}
	fmt.Fprintln(w, "Bounds")
	for s, site := range p.Sites {
		if site.Must {
			fmt.Fprintf(w, " y%d = 1\n", s)
		}
		if site.Never {
			fmt.Fprintf(w, " y%d = 0\n", s)
		}
	}
	fmt.Fprintln(w, "Binaries")
	for s := range p.Sites {
		fmt.Fprintf(w, " y%d\n", s)
	}
	fmt.Fprintln(w, "End")
	return w.Flush()
}

// CBC solves a problem with the program cbc, in a directory that exists. It returns the proven optimum, or an error.
func CBC(ctx context.Context, dir, program string, p *solve.Problem) (float64, error) {
	file, answer := filepath.Join(dir, "problem.lp"), filepath.Join(dir, "answer")
	f, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	if err := WriteLP(f, p); err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, program, file, "-ratioGap", "0", "-allowableGap", "0", "-solve", "-solution", answer).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("cbc: %w: %s", err, out)
	}
	text, err := os.ReadFile(answer)
	if err != nil {
		return 0, err
	}
	head, _, _ := strings.Cut(string(text), "\n")
	value, ok := strings.CutPrefix(head, "Optimal - objective value ")
	if !ok {
		return 0, fmt.Errorf("cbc: %s", head)
	}
	return strconv.ParseFloat(strings.TrimSpace(value), 64)
}
