// Package refresh brings roll-ups in a bucket or directory up to date with the logs: one file of rows and one of objects
// for each place with logs and each day in the names of its log objects. A file says from which log objects it was made,
// so that nothing is read again that has not changed, and no log object counts twice. It is replaced as a whole, by
// compare-and-swap, so that a killed run leaves nothing half done and two runs do not disturb each other.
//
// It must not know the layouts of logs, commands, how to show results.
package refresh
