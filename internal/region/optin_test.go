package region

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"ociproxy/internal/place"
)

// TestOptInRegions: the module of OpenTofu has the same list of regions as this package, and the places of the map are judged by it.
func TestOptInRegions(t *testing.T) {
	text, err := os.ReadFile("../../deploy/terraform/aws-stores/regions.tf")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)regions_of_every_account = \[(.*?)\]`).FindSubmatch(text)
	if list == nil {
		t.Fatal("regions.tf has no list: is the pattern still right?")
	}
	var module []string
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllSubmatch(list[1], -1) {
		module = append(module, string(m[1]))
	}
	if !slices.Equal(module, alwaysOn) {
		t.Errorf("regions.tf has %q, optin.go has %q", module, alwaysOn)
	}
	for name, want := range map[string]bool{"us-east-1": false, "ap-northeast-3": false, "eu-south-2": true, "me-south-1": true, "cn-north-1": false, "us-gov-west-1": false} {
		site, ok := place.Embedded().Find(place.Place{Cloud: "aws", Region: name})
		if !ok || OptIn(site) != want {
			t.Errorf("%s: %v, want %v (on the map: %v)", name, OptIn(site), want, ok)
		}
	}
	for _, name := range alwaysOn {
		if _, ok := place.Embedded().Find(place.Place{Cloud: "aws", Region: name}); !ok {
			t.Errorf("%s is not on the map", name)
		}
	}
}
