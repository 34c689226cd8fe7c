package place

import (
	"fmt"
	"math"
)

// Point is a position on the globe in degrees, north and east positive.
type Point struct{ Lat, Lon float64 }

// Spot is the location of a client, store or place: a position and its country.
// The zero Spot is unknown. A country without a position (0, 0) means the
// middle of that country.
type Spot struct {
	Point
	Country string // ISO 3166-1 alpha-2, upper case; empty: unknown
}

// IsZero reports whether neither position nor country is known.
func (s Spot) IsZero() bool { return s == Spot{} }

// located returns s. If s has no position, it returns the position of its
// country. It returns false when neither is known.
func (s Spot) located() (Spot, bool) {
	if s.Point != (Point{}) {
		return s, true
	}
	return CountrySpot(s.Country)
}

func (p Point) check() error {
	// The comparisons are written so that NaN fails them.
	if !(p.Lat >= -90 && p.Lat <= 90) {
		return fmt.Errorf("latitude %v: not within -90 to 90", p.Lat)
	}
	if !(p.Lon >= -180 && p.Lon <= 180) {
		return fmt.Errorf("longitude %v: not within -180 to 180", p.Lon)
	}
	if p == (Point{}) {
		return fmt.Errorf("no latitude and longitude")
	}
	return nil
}

const earthRadius = 6371.0 // km, mean

// vector is a point of the unit sphere. With vectors, each of many distances
// from one point costs only one square root and one arc sine.
type vector struct{ x, y, z float64 }

func (p Point) vector() vector {
	sinLat, cosLat := math.Sincos(p.Lat * math.Pi / 180)
	sinLon, cosLon := math.Sincos(p.Lon * math.Pi / 180)
	return vector{cosLat * cosLon, cosLat * sinLon, sinLat}
}

// km returns the great-circle distance.
func (v vector) km(w vector) float64 {
	dx, dy, dz := v.x-w.x, v.y-w.y, v.z-w.z
	// Half the chord. Rounding may make it exceed 1 for antipodes.
	half := min(1, math.Sqrt(dx*dx+dy*dy+dz*dz)/2)
	return 2 * earthRadius * math.Asin(half)
}

// Km returns the great-circle distance between two points in kilometres.
func (p Point) Km(q Point) float64 { return p.vector().km(q.vector()) }
