package audit

import "fmt"

// Class is what is wrong with one blob in one store. The names are stable.
type Class string

// The classes, worst first. Of one blob in one store the worst is reported.
const (
	Lost       Class = "lost"       // the inventory lists it, and there is no object: clients are sent to a 404
	Missing    Class = "missing"    // an image needs it, and it is neither there nor in the inventory
	Corrupt    Class = "corrupt"    // the bytes do not have the digest
	Short      Class = "short"      // the size is not that of the inventory, or one that the digest cannot have
	Disputed   Class = "disputed"   // the manifest states another size than all of the store: the bytes tell who is wrong
	Unreadable Class = "unreadable" // the owner has it, and the public at the store's URL does not get it as it is
	Unlisted   Class = "unlisted"   // it is there and whole, and the inventory does not list it: nobody is sent there
	Unexpected Class = "unexpected" // it is there or in the inventory, and no image needs it
	Unknown    Class = "unknown"    // no answer that would say
)

// Classes are all of them, in the order of reports.
func Classes() []Class {
	return []Class{Lost, Missing, Corrupt, Short, Disputed, Unreadable, Unlisted, Unexpected, Unknown}
}

// Exit codes are sums: one bit for each thing found. No sum is 2 or 3, which mean wrong usage and an invalid config, nor
// above 125, where shells have their own meanings. They are stable.
const (
	CodeUnknown    = 1  // something could not be looked at
	CodeUnexpected = 4  // unexpected or unlisted: more than is used, nothing is wrong
	CodeMissing    = 8  // missing or lost
	CodeShort      = 16 // short or disputed
	CodeCorrupt    = 32 // corrupt
	CodeUnreadable = 64 // not publicly readable, or not as it is
)

// code is the bit of a class.
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
