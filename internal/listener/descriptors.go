package listener

import "syscall"

// RaiseDescriptors raises the limit of open files of this process to the maximum that the system allows, and returns
// that number, or 0 when it is unknown. Go does the same at start-up, unless the limit was lowered since.
func RaiseDescriptors() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	if limit.Cur < limit.Max {
		raised := limit
		raised.Cur = raised.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			limit = raised
		}
	}
	return int(min(limit.Cur, 1<<30))
}

// Bound returns how many connections may be open. That is wanted, or as many as the descriptors leave room for when
// kept of them are for other purposes. At least half of the descriptors stay for connections. When wanted is 0, the
// result is all the room there is. When descriptors is 0, their number is unknown, and only wanted counts.
func Bound(wanted, descriptors, kept int) int {
	if descriptors <= 0 {
		return wanted
	}
	room := max(descriptors-kept, descriptors/2, 1)
	if wanted <= 0 {
		return room
	}
	return min(wanted, room)
}
