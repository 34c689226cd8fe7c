package listener

import "syscall"

// RaiseDescriptors raises the number of files that this process may have open to what the system allows it, and
// returns that number. Go does so at start-up too, unless the number was lowered since; 0: unknown.
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

// Bound is how many connections may be open: wanted, or as many as descriptors leave room for beside kept, those
// of everything else. At least half of what there is stays for connections. No wanted: as many as there is room for.
// descriptors 0: unknown, so that only wanted counts.
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
