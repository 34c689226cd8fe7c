package ranges

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func rowsOf(prefixes ...string) []row {
	rows := make([]row, len(prefixes))
	for i, p := range prefixes {
		rows[i].prefix = netip.MustParsePrefix(p)
	}
	return rows
}

func TestCheck(t *testing.T) {
	const fine = "52.0.0.0/16"
	for _, tt := range []struct {
		prefixes string
		kinds    [3]string // for cloudList, geofeed, ownList: "" accepted, "-" left out, else part of the error
	}{
		{"8.0.0.0/8", [3]string{}},
		{"8.0.0.0/7", [3]string{"shorter than /8", "shorter than /8", "shorter than /8"}},
		{"0.0.0.0/0", [3]string{"shorter than /8", "shorter than /8", "shorter than /8"}},
		{"2600::/20", [3]string{}},
		{"2600::/19", [3]string{"shorter than /20", "shorter than /20", "shorter than /20"}},
		{"::/0", [3]string{"shorter", "shorter", "shorter"}},
		{"10.1.0.0/16", [3]string{"not public", "not public", ""}},
		{"10.0.0.0/8", [3]string{"not public", "not public", ""}},
		{"172.31.0.0/16", [3]string{"not public", "not public", ""}},
		{"192.168.0.0/16", [3]string{"not public", "not public", ""}},
		{"192.160.0.0/11", [3]string{"not public", "not public", "not public"}}, // contains 192.168/16
		{"100.64.0.0/10", [3]string{"not public", "not public", ""}},
		{"127.0.0.0/8", [3]string{"not public", "not public", "not public"}},
		{"127.0.0.1/32", [3]string{"not public", "not public", "not public"}},
		{"0.0.0.0/8", [3]string{"not public", "not public", "not public"}},
		{"169.254.169.254/32", [3]string{"not public", "not public", "not public"}},
		{"224.0.0.0/8", [3]string{"not public", "not public", "not public"}},
		{"255.255.255.255/32", [3]string{"not public", "not public", "not public"}},
		{"198.18.0.0/15", [3]string{"not public", "-", "not public"}},
		{"192.0.2.0/24", [3]string{"not public", "-", ""}},
		{"198.51.100.128/25", [3]string{"not public", "-", ""}},
		{"203.0.113.0/24", [3]string{"not public", "-", ""}},
		{"203.0.112.0/22", [3]string{"not public", "not public", "not public"}},
		{"2001:db8:7::/48", [3]string{"not public", "-", ""}},
		{"3fff:7::/32", [3]string{"not public", "-", ""}},
		{"2001:10::/28", [3]string{"not public", "-", "not public"}},
		{"2002::/16", [3]string{"shorter", "-", "shorter"}},
		{"::1/128", [3]string{"not public", "not public", "not public"}},
		{"fd00:1::/32", [3]string{"not public", "not public", ""}},
		{"fc00::/7", [3]string{"shorter", "shorter", ""}},
		{"fe80::/64", [3]string{"not public", "not public", "not public"}},
		{"ff02::/32", [3]string{"not public", "not public", "not public"}},
		{"64:ff9b::/96", [3]string{"not public", "not public", "not public"}},
		{"4000::/32", [3]string{"not public", "not public", "not public"}},
	} {
		for k, want := range tt.kinds {
			use, skipped, err := kind(k).check(rowsOf(fine, tt.prefixes))
			switch {
			case want == "" && (err != nil || len(use) != 2), want == "-" && (err != nil || len(use) != 1 || skipped != 1):
				t.Errorf("kind %d, %s: %v, %d, %v", k, tt.prefixes, use, skipped, err)
			case want != "" && want != "-" && (!errors.Is(err, ErrGuard) || !strings.Contains(err.Error(), want)):
				t.Errorf("kind %d, %s: %v, want %q", k, tt.prefixes, err, want)
			}
		}
	}
	for name, rows := range map[string][]row{
		"none": nil, "only idle": rowsOf("192.0.2.0/24"), "too many": make([]row, maxFeedRows+1),
	} {
		if _, _, err := geofeed.check(rows); !errors.Is(err, ErrGuard) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMeasure(t *testing.T) {
	got := measure(rowsOf("8.0.0.0/8", "8.8.8.0/24", "8.8.8.8/32", "8.0.0.0/8", "9.0.0.0/16", "2600::/32", "2600::/48", "2600:1::/127"))
	if want := (space{1<<24 + 1<<16, 1<<96 + 2}); got != want {
		t.Errorf("measure = %v, want %v", got, want)
	}
}

func TestCheckSpace(t *testing.T) {
	for _, tt := range []struct {
		last, now space
		want      string
	}{
		{space{}, space{100, 100}, ""},
		{space{100, 100}, space{100, 100}, ""},
		{space{100, 100}, space{75, 150}, ""},
		{space{100, 100}, space{150, 75}, ""},
		{space{100, 100}, space{74, 100}, "IPv4 space shrinks by 26 %"},
		{space{100, 100}, space{151, 100}, "IPv4 space grows by 51 %"},
		{space{100, 100}, space{100, 74}, "IPv6 space shrinks by 26 %"},
		{space{100, 100}, space{100, 151}, "IPv6 space grows by 51 %"},
		{space{100, 100}, space{100, 0}, "IPv6 space shrinks by 100 %"},
		{space{100, 0}, space{100, 100}, ""}, // a cloud starts to use IPv6
	} {
		err := checkSpace(tt.last, tt.now)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v → %v: %v, want %q", tt.last, tt.now, err, tt.want)
		}
	}
}
