// Package report makes one account of many rows of traffic: who downloaded how much from where, what it cost, what it
// would have cost without the proxy, and which money is left on the table. It writes the account as text, JSON, CSV,
// Markdown and HTML.
//
// It reads the rows twice and keeps only sums. It must not know how logs, roll-ups or Prometheus are read, and takes the
// prices from the package bill.
package report
