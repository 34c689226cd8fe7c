// Package focus reads the bills of the clouds as cost data in the format FOCUS (focus.finops.org), versions 1.0 to 1.4,
// picks the rows of our buckets and CDNs, and compares them with what we counted ourselves: quantities first, then list
// cost, then effective cost. It also writes our own estimate as cost data in that format.
//
// It must not know flags, how prices are found, or how logs are read.
package focus
