package ranges

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// parseGeofeed reads an RFC 8805 geofeed: prefix,country,subdivision,city,postal. All fields except the prefix may be
// empty or left out. A bare address is a prefix of full length. A country that is not an ISO code (DigitalOcean
// writes "None", RFC 8805 reserves "ZZ") means that the feed does not say where the prefix is.
func parseGeofeed(data []byte) ([]row, error) {
	var rows []row
	err := eachRecord(data, func(rec []string) error {
		p, err := parseHostOrPrefix(rec[0])
		if err != nil {
			return err
		}
		rec = append(rec, "", "", "")
		rows = append(rows, row{prefix: p, at: newLocality(rec[1], rec[2], rec[3])})
		return nil
	})
	return rows, err
}

// parseVultr reads Vultr's geofeed in its JSON form, which has the same columns.
//
// https://geofeed.constant.com/?json
func parseVultr(data []byte) ([]row, error) {
	var file struct {
		Subnets []struct {
			Prefix      string `json:"ip_prefix"`
			Country     string `json:"alpha2code"`
			Subdivision string `json:"region"`
			City        string `json:"city"`
		} `json:"subnets"`
	}
	if err := decode(data, &file); err != nil {
		return nil, err
	}
	rows := make([]row, 0, len(file.Subnets))
	for i, s := range file.Subnets {
		p, err := parseHostOrPrefix(s.Prefix)
		if err != nil {
			return nil, rowError("subnets", i, err)
		}
		rows = append(rows, row{prefix: p, at: newLocality(s.Country, s.Subdivision, s.City)})
	}
	return rows, nil
}

// eachRecord calls f with the trimmed fields of each line of CSV. It leaves out comments and empty lines.
func eachRecord(data []byte, f func(rec []string) error) error {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	r.Comment = '#'
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true
	r.ReuseRecord = true
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range rec {
			rec[i] = strings.TrimSpace(rec[i])
		}
		if err := f(rec); err != nil {
			line, _ := r.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

func parseHostOrPrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		s = fmt.Sprintf("%s/%d", a, a.BitLen())
	}
	return parsePrefix(s)
}

// newLocality returns a locality. If the country is not well-formed, the locality is empty.
func newLocality(country, subdivision, city string) locality {
	country = strings.ToUpper(country)
	if len(country) != 2 || strings.Trim(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || country == "ZZ" {
		return locality{}
	}
	// Vultr sometimes repeats the country: "GB-GB-MAN".
	subdivision = strings.ToUpper(subdivision)
	for strings.HasPrefix(subdivision, country+"-"+country+"-") {
		subdivision = subdivision[len(country)+1:]
	}
	return locality{country, subdivision, city}
}

// String returns the locality as people write it.
func (l locality) String() string {
	return strings.Join(strings.Fields(or(l.subdivision, l.country)+" "+l.city), " ")
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
