package config

import (
	"strconv"
	"time"
)

// Promote says how `oci-proxyctl promote` brings images into the stores before their tags are set.
type Promote struct {
	// Settle is how long a tag waits after the last inventory was written that tells of its layers. 0: twice the longest `refresh` of the
	// inventories of the stores that are written.
	Settle time.Duration `yaml:"settle"`
	// RequireStores is how many stores must hold an image before its tags are set: `healthy`, every one that can be written and at least
	// one (what the others lack is reported, and comes with the next pass of the mirror); `all`, every one that has a bucket; or a
	// number.
	RequireStores string `yaml:"requireStores"`
	// StoreTimeout is how long an image waits for a slow store. A store that was waited for in vain gets nothing more in that run.
	StoreTimeout time.Duration `yaml:"storeTimeout"`
	// Lease is a name: runs with the same one exclude each other where they share a store. Trees of manifests that have no destination in
	// common may have one each.
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
		v.fail("promote.requireStores", "healthy, all, or how many", "requireStores is %q", shorten(p.RequireStores))
	}
	if p.StoreTimeout < time.Second {
		v.fail("promote.storeTimeout", "15m is usual", "storeTimeout must be at least 1s")
	}
	if p.Lease == "" {
		v.fail("promote.lease", "leave it out for the usual one", "the lease has no name")
	}
}
