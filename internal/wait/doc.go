// Package wait is how this project waits: for a time, again and again, or until something is so, and never longer than
// a context lasts; and how long, when it waits because something failed or because many would come at once.
//
// It knows timers, contexts and chance. It must not know what is waited for, nor which failure is worth another try:
// that is for the callers, and so are their numbers. It imports nothing of this module.
package wait
