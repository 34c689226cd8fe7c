package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/focus"
)

func ratesFlag(cmd *cobra.Command, rates *[]string) {
	cmd.Flags().StringArrayVar(rates, "rate", nil, "`CURRENCY=USD`: how many US dollars one unit of the currency of cost data is worth, such as EUR=1.08; may be repeated")
}

// ratesOf reads the flag --rate.
func ratesOf(texts []string) (map[string]float64, error) {
	out := map[string]float64{}
	for _, text := range texts {
		currency, number, ok := strings.Cut(text, "=")
		rate, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || !(rate > 0 && rate < 1e6) || len(currency) != 3 || currency != strings.ToUpper(currency) || currency == "USD" {
			return nil, cli.Usage("for example --rate EUR=1.08", "--rate %q is not CURRENCY=USD", text)
		}
		out[currency] = rate
	}
	return out, nil
}

// readBills reads the cost data of --billing.
func (a *app) readBills(ctx context.Context, cfg *config.Config, how *reporting, now time.Time) (*focus.Bill, error) {
	rates, err := ratesOf(how.rates)
	if err != nil {
		return nil, err
	}
	line := a.progress()
	defer line.clear()
	b, err := focus.Read(ctx, cfg, how.billing, focus.Options{Now: now, Rates: rates, Stdin: a.stdin, Progress: func(file string, rows int64) {
		line.line(fmt.Sprintf("%s: %s rows", file, humanize.Comma(rows)))
	}})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case focus.OtherCurrency(err) != "":
		return nil, cli.Usage("say what it is worth: --rate "+focus.OtherCurrency(err)+"=USD", "--billing: %w", err)
	case err != nil:
		return nil, cli.Fail("docs/reconciling-bills.md says how to export cost data in the format FOCUS", "--billing: %w", err)
	}
	return b, nil
}
