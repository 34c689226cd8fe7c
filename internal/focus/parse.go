package focus

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// cell is one value of a row. The zero cell is null.
type cell struct {
	text string
	num  float64
	at   time.Time
	is   cellType
}

type cellType uint8

const (
	isNull cellType = iota
	isText
	isNumber
	isTime
)

// textCell returns the cell of a field of a CSV file. An empty field and the word null are null.
func textCell(s string) cell {
	if s == "" || len(s) == 4 && strings.EqualFold(s, "null") {
		return cell{}
	}
	return cell{text: s, is: isText}
}

func (c cell) string() string {
	switch c.is {
	case isText:
		return c.text
	case isNumber:
		return strconv.FormatFloat(c.num, 'g', -1, 64)
	case isTime:
		return c.at.Format(time.RFC3339)
	}
	return ""
}

// maxAmount is the largest cost or quantity that is believed. No meter counts so many bytes.
const maxAmount = 1e21

var errAmount = errors.New("is no number, or a hugely wrong one")

// number returns the value of a cell; null is 0.
func (c cell) number() (float64, error) {
	n := c.num
	switch c.is {
	case isNull:
		return 0, nil
	case isTime:
		return 0, errAmount
	case isText:
		s := strings.TrimSpace(c.text)
		// ParseFloat also takes hexadecimal numbers, underscores and the words inf and nan, which no bill has.
		if strings.Trim(s, "0123456789.+-eE") != "" {
			return 0, errAmount
		}
		var err error
		if n, err = strconv.ParseFloat(s, 64); err != nil {
			return 0, errAmount
		}
	}
	if !(math.Abs(n) <= maxAmount) {
		return 0, errAmount
	}
	return n, nil
}

// layouts are the ways in which exports write a time: the specification's, and those of Azure, BigQuery and Athena.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05.999999 MST",
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", time.DateOnly, "01/02/2006"}

var errTime = errors.New("is no date and time")

// time returns the value of a cell in UTC; null is the zero time.
func (c cell) time() (time.Time, error) {
	switch c.is {
	case isNull:
		return time.Time{}, nil
	case isTime:
		return c.at.UTC(), nil
	case isText:
		if len(c.text) > 40 {
			return time.Time{}, errTime
		}
		for _, layout := range layouts {
			t, err := time.Parse(layout, c.text)
			if err == nil && t.Year() >= 2000 && t.Year() < 2100 {
				return t.UTC(), nil
			}
		}
	}
	return time.Time{}, errTime
}

// parser makes rows from cells. It remembers the last texts of times, which repeat from row to row.
type parser struct {
	*layout
	rates map[string]float64
	times map[string]time.Time
}

// fault is why a row was left out.
type fault struct {
	column column
	err    error
	text   string
}

func (f *fault) Error() string {
	return fmt.Sprintf("%s %q %s", columnNames[f.column], shorten(f.text), f.err)
}

// currencyError is a currency without a rate: it ends the reading, because sums of two currencies mean nothing.
type currencyError struct{ currency string }

func (e *currencyError) Error() string {
	return fmt.Sprintf("the costs are in %q, not in US dollars", shorten(e.currency))
}

// row makes a row from the cells that get returns. The row is used again for the next one.
func (p *parser) row(r *Row, get func(int) cell) error {
	at := func(c column) cell {
		if p.at[c] < 0 {
			return cell{}
		}
		return get(p.at[c])
	}
	text := func(c column) string { return at(c).string() }
	*r = Row{Meters: r.Meters[:0]}

	var err error
	num := func(c column) float64 {
		v := at(c)
		n, failed := v.number()
		if failed != nil && err == nil {
			err = &fault{c, failed, v.string()}
		}
		return n
	}
	when := func(c column) time.Time {
		v := at(c)
		if t, ok := p.times[v.text]; ok && v.is == isText {
			return t
		}
		t, failed := v.time()
		if failed != nil && err == nil {
			err = &fault{c, failed, v.string()}
		}
		if failed == nil && v.is == isText && len(p.times) < 4096 {
			p.times[strings.Clone(v.text)] = t
		}
		return t
	}
	rate, bad := p.rate(text(colCurrency))
	if bad != nil {
		return bad
	}
	r.Billed, r.Effective = rate*num(colBilled), rate*num(colEffective)
	r.List, r.Contracted = rate*num(colList), rate*num(colContracted)
	r.HasList = at(colList).is != isNull
	r.Start, r.End = when(colStart), when(colEnd)
	r.PeriodStart, r.PeriodEnd = when(colPeriodStart), when(colPeriodEnd)
	r.Consumed = Quantity{num(colConsumed), text(colConsumedUnit), at(colConsumed).is != isNull}
	r.Priced = Quantity{num(colPriced), text(colPricedUnit), at(colPriced).is != isNull}
	if r.Start.IsZero() && err == nil {
		err = &fault{colStart, errTime, ""}
	}
	var known bool
	if r.Category, known = categoryOf(text(colCategory)); !known && err == nil {
		err = &fault{colCategory, errors.New("is no category"), text(colCategory)}
	}
	r.Correction = strings.EqualFold(text(colClass), "Correction")
	for _, c := range []column{colServiceProvider, colProvider, colPublisher, colIssuer} {
		if r.Provider = providerOf(text(c)); r.Provider != "" {
			break
		}
	}
	if r.Provider == "" {
		r.Provider = p.provider
	}
	r.Service = text(colService)
	if code := text(colAWSService); code != "" {
		r.Service += " " + code
	}
	r.Payer, r.Account, r.Region = text(colPayer), text(colAccount), text(colRegion)
	r.Resource, r.SKU = text(colResource), text(colSKU)
	r.Invoiced = at(colInvoice).is != isNull
	for _, c := range []column{colAWSUsage, colAzureMeter, colGoogleSKU, colMeter, colDescription} {
		if s := text(c); s != "" {
			r.Meters = append(r.Meters, s)
		}
	}
	return err
}

// rate returns the US dollars of one unit of a currency.
func (p *parser) rate(currency string) (float64, error) {
	switch {
	case currency == "USD":
		return 1, nil
	case currency == "":
		return 0, &fault{colCurrency, errors.New("is no currency"), ""}
	}
	if rate := p.rates[currency]; rate > 0 {
		return rate, nil
	}
	return 0, &currencyError{currency}
}

func categoryOf(s string) (Category, bool) {
	for _, c := range []Category{Usage, Purchase, Tax, Credit, Adjustment} {
		if strings.EqualFold(s, string(c)) {
			return c, true
		}
	}
	return "", false
}

// shorten keeps errors readable.
func shorten(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}

// OtherCurrency returns the currency for which [Options] has no rate, if that is what an error of [Read] says; else "".
func OtherCurrency(err error) string {
	if e, ok := errors.AsType[*currencyError](err); ok {
		return e.currency
	}
	return ""
}
