// Package wait is how this project waits: for a time, repeatedly, or until a condition holds, and never longer than a
// context lasts. It also says how long to wait after a failure, or when many would otherwise come at once.
//
// It knows timers, contexts and randomness. It must not know the reason for a wait, nor which failure is worth
// another try: the callers decide that, and choose the numbers. It imports nothing of this module.
package wait
