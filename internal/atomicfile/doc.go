// Package atomicfile writes files that are there whole or not at all, whatever fails on the way and whenever the power
// does: what is written lies aside, is brought to the disk, gets its name, and then the directory is brought to the disk.
//
// What a killed process leaves behind is told from what a live one uses by a lock, and swept by who starts next; files that no other
// process needs have no name from the beginning ([Scratch]).
//
// It knows files, modes and the order in which disks must be told things. It must not know what is in the files, nor
// where they belong: the directory must exist. It imports nothing of this module.
package atomicfile
