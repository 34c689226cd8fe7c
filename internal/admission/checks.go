package admission

import (
	"strings"

	"ociproxy/internal/check/judge"
)

// Page is the page of the documentation that explains the checks. Each check has a section there.
const Page = "docs/admission.md"

// Check is one question about a store. IDs are stable: scripts and records have them.
type Check struct {
	ID    string       `json:"id"`
	Title string       `json:"title"` // what is true when it passes
	Worst judge.Result `json:"worst"` // the result when the check fails; some answers get less
}

// Doc returns the section that explains the check.
func (c Check) Doc() string { return Page + "#" + Anchor(c.ID) }

// Anchor returns the anchor of a check's heading.
func Anchor(id string) string { return strings.ReplaceAll(id, ".", "") }

// live is the prefix of the checks that package check makes. They share one section.
const live = "live"

// These are the ids of the checks.
const (
	idBelieved  = "inventory.believed"
	idRead      = "inventory.read"
	idTypes     = "inventory.types"
	idListed    = "inventory.listed"
	idThere     = "object.there"
	idLength    = "object.length"
	idHead      = "object.head"
	idGet       = "object.get"
	idFirst     = "object.range.first"
	idMiddle    = "object.range.middle"
	idOpen      = "object.range.open"
	idSuffix    = "object.range.suffix"
	idPastEnd   = "object.range.past-end"
	idParallel  = "object.parallel"
	idResume    = "object.resume"
	idIPv4      = "read.ipv4"
	idIPv6      = "read.ipv6"
	idRoot      = "closed.root"
	idPath      = "closed.path"
	idList      = "closed.list"
	idPut       = "closed.put"
	idDelete    = "closed.delete"
	idSpeed     = "speed.throughput"
	idFirstByte = "speed.first-byte"
	idOwner     = "owner"
	idPull      = "pull"
	idBounds    = "bounds"
)

// Checks returns all checks, in the order in which a report lists them.
func Checks() []Check {
	return []Check{
		{live, "the store passes what check --live asks of it", judge.Failed},
		{idBelieved, "servers believe the inventory, and it is not stale", judge.Failed},
		{idRead, "the inventory can be read: every segment has its hash, order and count", judge.Failed},
		{idTypes, "head and segments have the right media types", judge.Warning},
		{idListed, "the inventory lists the blobs that images need", judge.Warning},
		{idThere, "the store has the objects that its inventory lists", judge.Failed},
		{idLength, "Content-Length is the size that the inventory says", judge.Failed},
		{idHead, "HEAD says what GET gives", judge.Failed},
		{idGet, "every byte of the object arrives, and the digest is right", judge.Failed},
		{idFirst, "the first byte can be asked for", judge.Failed},
		{idMiddle, "a range in the middle can be asked for", judge.Failed},
		{idOpen, "the rest of an object can be asked for", judge.Failed},
		{idSuffix, "the last bytes can be asked for", judge.Warning},
		{idPastEnd, "a range past the end gets 416", judge.Warning},
		{idParallel, "ranges arrive side by side", judge.Failed},
		{idResume, "a pull resumes after a cut", judge.Failed},
		{idIPv4, "anyone may read over IPv4", judge.Failed},
		{idIPv6, "anyone may read over IPv6", judge.Failed},
		{idRoot, "the root of the bucket is closed", judge.Failed},
		{idPath, "a path that leads out of the blobs is refused", judge.Failed},
		{idList, "strangers may not list the bucket", judge.Failed},
		{idPut, "strangers may not write", judge.Failed},
		{idDelete, "strangers may not delete", judge.Failed},
		{idSpeed, "the store is not far slower than its neighbours", judge.Warning},
		{idFirstByte, "the first byte comes about as soon as from its neighbours", judge.Warning},
		{idOwner, "the bucket belongs to the owner that the config names", judge.Failed},
		{idPull, "clients pull images, and every layer comes from this store", judge.Failed},
		{idBounds, "the run ended within its bounds", judge.Failed},
	}
}

// checkOf returns the check of a finding's id, such as "live.range.open" or "pull.crane".
func checkOf(id string) Check {
	for _, c := range Checks() {
		if c.ID == id || (c.ID == live || c.ID == idPull) && strings.HasPrefix(id, c.ID+".") {
			return c
		}
	}
	panic("admission: no check " + id)
}
