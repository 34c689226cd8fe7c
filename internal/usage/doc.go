// Package usage turns records of logs into counts: which store of the config a request was for, who made it, what it
// did, where the client is, how many bytes were sent. It counts what it leaves out, by reason, with an example of each.
// It also compares what logs count with what was billed or measured.
//
// It must not know the layouts of logs, files, prices, or how results are shown.
package usage
