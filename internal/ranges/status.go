package ranges

import (
	"errors"
	"time"

	"ociproxy/internal/fetch"
)

// FeedStatus is the state of one feed or GeoIP file. Alert on Age.
type FeedStatus struct {
	Name     string        // the provider, for a geofeed its cloud, numbered when repeated; geoip-city, geoip-asn
	Provider string        // config.Provider, or "geoip"
	Source   string        // URL or file
	From     string        // where the copy in use came from: "url", "cache", "seed", "file"; "" when there is none
	Rows     int           // prefixes in use, each counted once
	LastGood time.Time     // when the copy in use was last known to be current; zero: never
	Age      time.Duration // since LastGood; 0 when it is zero

	LastError string // why the last attempt failed; "" if it succeeded
	Failures  int    // failed attempts since the last success
	Rejected  int    // copies read but rejected since the start, by the parser or by guards

	Unknown        int      // prefixes whose region is not on the map: cloud known, region not
	UnknownRegions []string // those regions, as the feed spells them
	Conflicts      int      // prefixes listed with different places, here or in an earlier feed; see the package comment
	NoSeed         bool     // there is a seed directory, but it has no file for this feed
	Skipped        int      // rows of a geofeed left out because they are documentation or benchmarking ranges
}

// at returns s with its age at now.
func (s FeedStatus) at(now time.Time) FeedStatus {
	if !s.LastGood.IsZero() {
		s.Age = max(0, now.Sub(s.LastGood))
	}
	return s
}

// record stores the outcome of an attempt. good means that the source gave a good copy, or confirmed that the copy in
// use is current. In that case err may still say that the copy could not be written to disk.
func (s *FeedStatus) record(err error, good bool) {
	s.LastError = ""
	if err != nil {
		s.LastError = err.Error()
	}
	if good {
		s.Failures = 0
		return
	}
	s.Failures++
	if _, ok := errors.AsType[*fetch.InvalidError](err); ok {
		s.Rejected++
	}
}
