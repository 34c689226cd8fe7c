package setup

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

// tail is a place at the end of an answer: @CLOUD/REGION, or @CLOUD/REGION@LAT,LON[,COUNTRY].
var tail = regexp.MustCompile(`^(.+)@([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(?:@[A-Za-z0-9.,+-]*)?)$`)

// split takes URL[@PLACE] apart. What looks like a place belongs to the URL if the URL would be broken without it: then
// the text before it is a user name and a password.
func split(answer string) (text, at string) {
	m := tail.FindStringSubmatch(answer)
	if m == nil {
		return answer, ""
	}
	scheme, rest, _ := strings.Cut(m[1], "://")
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, "?")
	if name, port, ok := strings.Cut(host, ":"); scheme == "http" || scheme == "https" {
		if _, err := strconv.ParseUint(port, 10, 16); ok && err != nil && !strings.Contains(name, "[") {
			return answer, ""
		}
	}
	return m[1], m[2]
}

// placeOf is the place that the answer says, otherwise the one that it has by itself.
func (d *Draft) placeOf(at string, itself func() place.Place) (place.Place, error) {
	if at != "" {
		return d.where(at)
	}
	p := itself()
	if p.IsZero() || d.known(p) {
		return d.spelled(p), nil
	}
	return p, cli.Usage("add a place that is on the map behind it, as @CLOUD/REGION, or this one with its coordinates: "+
		fmt.Sprintf("@%s@LAT,LON", p), "the map has no place %s", p)
}

// hostPlace is the place that the host of a registry tells, otherwise the location.
func (d *Draft) hostPlace(host string) place.Place {
	if cloud, region := config.HostRegion(host); region != "" && d.known(place.Place{Cloud: cloud, Region: region}) {
		return place.Place{Cloud: cloud, Region: region}
	}
	return d.location
}

// known reports whether a place is on the map, or was given with its coordinates.
func (d *Draft) known(p place.Place) bool {
	_, found := place.Embedded().Find(p)
	return found || d.own(p)
}

// own reports whether a place was given with its coordinates.
func (d *Draft) own(p place.Place) bool {
	return slices.ContainsFunc(d.sites, func(s site) bool { return s.Place == p })
}

// spelled replaces another spelling of a place by that of the map.
func (d *Draft) spelled(p place.Place) place.Place {
	if s, found := place.Embedded().Find(p); found {
		return s.Place
	}
	return p
}

// where reads PLACE or PLACE@LAT,LON[,COUNTRY]. It adds a place that is not on the map to d.
func (d *Draft) where(answer string) (place.Place, error) {
	text, coordinates, given := strings.Cut(answer, "@")
	p, err := place.Parse(text)
	if err != nil {
		return p, cli.Usage("a place is cloud/region: aws/us-east-1; for a data centre of your own onprem/berlin@52.5,13.4", "%w", err)
	}
	known := d.known(p)
	switch {
	case p.Cloud == "internet" || p.Cloud == "all": // a store in it would serve everybody: see d.sheet
		return p, cli.Usage("choose another name, such as onprem/"+p.Region, "%q means clients, and is no cloud", p.Cloud)
	case known && !given:
		return d.spelled(p), nil
	case !given:
		return p, unknown(p)
	}
	s, err := located(p, coordinates)
	if err != nil {
		return p, err
	}
	i := slices.IndexFunc(d.sites, func(old site) bool { return old.Place == p })
	switch {
	case i >= 0 && d.sites[i] == s:
		return p, nil
	case i >= 0:
		return p, cli.Usage("give the coordinates once", "%s has other coordinates already", p)
	case known:
		return p, cli.Usage("write "+p.String(), "%s is on the map: it needs no coordinates", p)
	}
	d.sites = append(d.sites, s)
	return p, nil
}

// unknown says what to do about a place that is not on the map.
func unknown(p place.Place) error {
	hint := fmt.Sprintf("for a place of your own add its coordinates: %s@LAT,LON", p)
	var near []string
	for _, s := range place.Embedded().Sites() {
		near = append(near, s.String())
	}
	if s := config.Suggest(p.String(), near); s != "" {
		hint = "did you mean " + s + "? Otherwise " + hint
	}
	return cli.Usage(hint, "the map has no place %s", p)
}

// located reads LAT,LON[,COUNTRY]. Without the country it is that of the nearest place on the map.
func located(p place.Place, text string) (site, error) {
	parts := strings.Split(text, ",")
	wrong := cli.Usage("latitude and longitude in degrees, north and east positive, and the country's code if you like: "+
		p.String()+"@52.5,13.4,DE", "%.40q are no coordinates", text)
	if len(parts) != 2 && len(parts) != 3 {
		return site{}, wrong
	}
	s := site{Place: p}
	var err, err2 error
	s.lat, err = strconv.ParseFloat(parts[0], 64)
	s.lon, err2 = strconv.ParseFloat(parts[1], 64)
	if err != nil || err2 != nil || !(math.Abs(s.lat) <= 90) || !(math.Abs(s.lon) <= 180) {
		return site{}, wrong
	}
	if len(parts) == 3 {
		s.country = strings.ToUpper(parts[2])
		if _, ok := place.CountrySpot(s.country); !ok {
			return site{}, cli.Usage("two letters of ISO 3166-1, such as DE", "%.20q is not the code of a country", parts[2])
		}
		return s, nil
	}
	s.guessed = true
	best := math.Inf(1)
	for _, on := range place.Embedded().Sites() {
		if km := on.Km(place.Point{Lat: s.lat, Lon: s.lon}); on.Country != "" && km < best {
			s.country, best = on.Country, km
		}
	}
	return s, nil
}
