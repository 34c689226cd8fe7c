// Package lastgood keeps copies of the configurations that worked, so that a process can start when its configuration
// is broken.
//
// It knows the directory of the copies, their order, and which of them are damaged. It must not know what a
// configuration says, or when it works.
package lastgood
