package audit

import "fmt"

// Class says what is wrong with one blob in one store. The names are stable.
type Class string

// The classes, worst first. For one blob in one store, only the worst is reported.
const (
	Lost       Class = "lost"       // the inventory lists it, but there is no object: clients get a 404
	Missing    Class = "missing"    // an image needs it, but it is neither in the store nor in the inventory
	Corrupt    Class = "corrupt"    // the bytes do not have the digest
	Short      Class = "short"      // the size is not that of the inventory, or is impossible for the digest
	Disputed   Class = "disputed"   // the manifest states one size, the store another: only the bytes show who is wrong
	Unreadable Class = "unreadable" // the owner can read it, but anonymous clients do not get it unchanged
	Unlisted   Class = "unlisted"   // it is complete, but the inventory does not list it: no client is sent there
	Unexpected Class = "unexpected" // it is in the store or in the inventory, but no image needs it
	Unknown    Class = "unknown"    // no answer that decides
)

// Classes returns all classes, in the order of reports.
func Classes() []Class {
	return []Class{Lost, Missing, Corrupt, Short, Disputed, Unreadable, Unlisted, Unexpected, Unknown}
}

// Exit codes are sums, with one bit for each kind of finding. No sum is 2 or 3, which mean wrong usage and an invalid
// config. No sum is above 125, where shells have their own meanings. The codes are stable.
const (
	CodeUnknown    = 1  // something could not be checked
	CodeUnexpected = 4  // unexpected or unlisted: more than is used, but nothing is wrong
	CodeMissing    = 8  // missing or lost
	CodeShort      = 16 // short or disputed
	CodeCorrupt    = 32 // corrupt
	CodeUnreadable = 64 // anonymous clients cannot read it, or not unchanged
)

// code returns the exit code bit of a class.
func (c Class) code() int {
	switch c {
	case Lost, Missing:
		return CodeMissing
	case Corrupt:
		return CodeCorrupt
	case Short, Disputed:
		return CodeShort
	case Unreadable:
		return CodeUnreadable
	case Unlisted, Unexpected:
		return CodeUnexpected
	case Unknown:
		return CodeUnknown
	}
	panic(fmt.Sprintf("audit: no class %q", string(c)))
}
