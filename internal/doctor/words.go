package doctor

import (
	"fmt"
	"strings"
	"time"
)

// maxNames is how many hosts a sentence names. The table has them all.
const maxNames = 4

func names(hosts []*Host) string {
	list := make([]string, len(hosts))
	for i, h := range hosts {
		list[i] = h.Address
	}
	return series(list)
}

// series writes a list as people say it.
func series(list []string) string {
	if n := len(list); n > maxNames+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNames], ", "), n-maxNames)
	}
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// ports says what a firewall must allow.
func ports(hosts []*Host) string {
	for _, h := range hosts {
		if h.Port != "443" || h.Plain {
			list := make([]string, len(hosts))
			for i, h := range hosts {
				list[i] = h.Name + ":" + h.Port
			}
			return "TCP to " + series(list)
		}
	}
	return "TCP port 443 to " + names(hosts)
}

func itOrThem(hosts []*Host) string {
	if len(hosts) == 1 {
		return "it"
	}
	return "them"
}

func bracketed(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return " (" + series(list) + ")"
}

// roughly is a time in the unit in which people think of it.
func roughly(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()+12)/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()+0.5))
	}
	return fmt.Sprintf("%d minutes", int(d.Minutes()+0.5))
}
