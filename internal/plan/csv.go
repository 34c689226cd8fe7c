package plan

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/price"
)

// The columns of a CSV file with demand. The third one may be missing.
var columns = []string{"place", "TB/month", "requests/month"}

// maxRows bounds the file. The map has some 320 places and 250 countries.
const maxRows = 10_000

// maxNumber bounds the terabytes and requests of a row, far above what is possible: sums and prices stay finite.
const maxNumber = 1e15

// ReadCSV reads demand from a file with the header place,TB/month or place,TB/month,requests/month, and # comments. A
// place is a place of the map, a cloud, an ISO 3166-1 code of a country for clients that are in no cloud, or unknown. A TB
// has 10^12 bytes. The error names the file and the line.
func ReadCSV(name string, r io.Reader, m *place.Map) (*Demand, error) {
	in := csv.NewReader(r)
	in.Comment, in.TrimLeadingSpace, in.FieldsPerRecord = '#', true, 0 // each row has as many fields as the header
	fault := func(err error) error {
		if p, ok := errors.AsType[*csv.ParseError](err); ok {
			return fmt.Errorf("%s, line %d: %w", name, p.Line, p.Err)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	header, err := in.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s is empty", name)
	case err != nil:
		return nil, fault(err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // spreadsheets write it
	if n := len(header); n < 2 || n > len(columns) || !slices.Equal(trimmed(header), columns[:n]) {
		return nil, fmt.Errorf("%s, line 1: the header is %q, want %q, and %q where it is known",
			name, strings.Join(header, ","), strings.Join(columns[:2], ","), columns[2])
	}
	sums, lines := map[clientKey]*Client{}, map[clientKey]int{}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault(err)
		}
		line, _ := in.FieldPos(0)
		k, c, err := parseRow(trimmed(row), m)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", name, line, err)
		}
		if was := lines[k]; was > 0 {
			return nil, fmt.Errorf("%s, line %d: %s is in line %d already", name, line, row[0], was)
		}
		if sums[k], lines[k] = c, line; len(sums) > maxRows {
			return nil, fmt.Errorf("%s has more than %d lines", name, maxRows)
		}
	}
	if d := newDemand(sums, 0); d.Bytes() > 0 {
		return d, nil
	}
	return nil, fmt.Errorf("%s: nothing is downloaded", name)
}

func trimmed(row []string) (out []string) {
	for _, f := range row {
		out = append(out, strings.TrimSpace(f))
	}
	return out
}

func parseRow(row []string, m *place.Map) (k clientKey, c *Client, err error) {
	if k, err = parseClient(row[0], m); err != nil {
		return k, nil, err
	}
	numbers := make([]float64, 2)
	for i, text := range row[1:] {
		numbers[i], err = strconv.ParseFloat(text, 64)
		if err != nil || !(numbers[i] >= 0) {
			return k, nil, fmt.Errorf("%s: %q is no number of at least 0", columns[i+1], text)
		}
		if numbers[i] > maxNumber {
			return k, nil, fmt.Errorf("%s: %s is more than %g", columns[i+1], text, float64(maxNumber))
		}
	}
	return k, &Client{Bytes: price.TB.Times(numbers[0]), Requests: numbers[1]}, nil
}

// parseClient reads the name that [Client.Name] writes.
func parseClient(text string, m *place.Map) (clientKey, error) {
	if text == "unknown" {
		return clientKey{}, nil
	}
	if _, ok := place.CountrySpot(text); ok {
		return clientKey{country: text}, nil
	}
	if !strings.Contains(text, "/") {
		if m.HasCloud(text) {
			return clientKey{at: place.Place{Cloud: text}}, nil
		}
		return clientKey{}, fmt.Errorf("%q is no cloud of the map, no country such as DE, and not unknown", text)
	}
	p, err := place.Parse(text)
	if err != nil {
		return clientKey{}, err
	}
	if site, ok := m.Find(p); ok {
		return clientKey{at: site.Place}, nil
	}
	if at := m.Unlisted(p.Cloud, p.Region); at == p {
		return clientKey{at: p}, nil // a partition whose region is not known, such as aws/us-gov
	}
	var names []string
	for _, s := range m.Sites() {
		names = append(names, s.Place.String())
	}
	if near := config.Suggest(text, names); near != "" {
		return clientKey{}, fmt.Errorf("%s is not on the map; did you mean %s?", text, near)
	}
	return clientKey{}, fmt.Errorf("%s is not on the map: add it to `places` of the config, or name the cloud alone", text)
}
