// Package atomicfile writes files that are complete or absent, whatever fails on the way, even after a power failure.
// It writes the content beside the target, syncs it to the disk, gives it its name, and then syncs the directory.
//
// A lock distinguishes the leftovers of a killed process from the files of a live one. The next process that starts
// removes the leftovers. Files that no other process needs have no name at all ([Scratch]).
//
// It knows files, modes, and the order of writes and syncs. It must not know what is in the files or where they
// belong: the directory must exist. It imports nothing of this module.
package atomicfile
