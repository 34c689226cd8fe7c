package config

import (
	"strconv"
	"time"
)

// Promote says how `oci-proxyctl promote` brings images into the stores before it sets their tags.
type Promote struct {
	// Settle is how long a tag waits after `promote` has written the last inventory that lists its layers. 0: twice the
	// longest `refresh` of the inventories of the stores that it writes.
	Settle time.Duration `yaml:"settle"`
	// RequireStores is how many stores must hold an image before `promote` sets its tags. `healthy`: every store that
	// can be written, and at least one. `promote` reports what the other stores do not have, and the next pass of the
	// mirror copies it. `all`: every store that has a bucket. Or a number.
	RequireStores string `yaml:"requireStores"`
	// StoreTimeout is how long an image waits for a slow store. If a store does not finish in this time, `promote`
	// sends it nothing more in that run.
	StoreTimeout time.Duration `yaml:"storeTimeout"`
	// Lease is a name. Two runs with the same name exclude each other if they share a store. Trees of manifests without
	// common destinations can each have their own.
	Lease string `yaml:"lease"`
}

func (v *validator) promote() {
	p := v.c.Promote
	if _, set := v.nodes["promote"]; !set {
		return
	}
	if p.Settle < 0 {
		v.fail("promote.settle", "", "settle is negative")
	}
	if n, err := strconv.Atoi(p.RequireStores); p.RequireStores != "healthy" && p.RequireStores != "all" && (err != nil || n < 1) {
		v.fail("promote.requireStores", "healthy, all, or a number", "requireStores is %q", shorten(p.RequireStores))
	}
	if p.StoreTimeout < time.Second {
		v.fail("promote.storeTimeout", "15m is usual", "storeTimeout must be at least 1s")
	}
	if p.Lease == "" {
		v.fail("promote.lease", "leave it out for the default", "the lease has no name")
	}
}
