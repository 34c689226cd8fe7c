package plan

import (
	"math"
	"strings"
	"testing"

	"ociproxy/internal/place"
)

// FuzzReadCSV: whatever a file of demand has, the sums of what is read are finite, and each client can be named.
func FuzzReadCSV(f *testing.F) {
	m := place.Embedded()
	f.Add("place,TB/month\naws/us-east-1,1.5\nDE,2\nunknown,0.1\ngcp,3\n")
	f.Add("\ufeffplace, TB/month, requests/month\n# comment\naws/eu-central-1, 1e3, 5\n\"aws/us-gov\",1,1\n")
	f.Add("place,TB/month\naws/us-east-1,1e300\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ReadCSV("demand.csv", strings.NewReader(text), m)
		if err != nil {
			return
		}
		if sum := d.Bytes(); !(sum > 0) || math.IsInf(sum, 0) {
			t.Errorf("%v bytes", sum)
		}
		for i := range d.Clients {
			if k, err := parseClient(d.Clients[i].Name(), m); err != nil {
				t.Errorf("the name of client %+v: %v", k, err)
			}
		}
	})
}
