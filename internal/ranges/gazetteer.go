package ranges

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"

	"ociproxy/internal/place"
)

// gazetteerCSV has the coordinates of the subdivisions of large countries: ISO 3166-2 code,lat,lon. Each point is
// roughly where most people of the subdivision live. The data is public geography, entered by hand, ± 100 km.
//
//go:embed gazetteer.csv
var gazetteerCSV []byte

// subdivisions returns the gazetteer by ISO 3166-2 code.
var subdivisions = sync.OnceValue(func() map[string]place.Point {
	points := map[string]place.Point{}
	err := eachRecord(gazetteerCSV, func(rec []string) error {
		lat, err := strconv.ParseFloat(rec[1], 64)
		if err != nil {
			return err
		}
		lon, err := strconv.ParseFloat(rec[2], 64)
		if err != nil {
			return err
		}
		points[strings.Clone(rec[0])] = place.Point{Lat: lat, Lon: lon}
		return nil
	})
	if err != nil {
		panic("ranges: gazetteer.csv: " + err.Error())
	}
	return points
})
