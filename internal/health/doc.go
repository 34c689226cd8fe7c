// Package health says which candidates are usable.
//
// It knows how to probe a store or upstream with real objects, when a candidate is taken out of service and when it
// comes back, and how to tell a dead candidate from trouble of our own: a cut network freezes the state, a stopped
// process discards what it measured. It must not know routing, configuration or inventories: the caller says what can
// be probed and which candidates matter now, and reads a set back. Health only ever removes candidates; who
// answers when none is left is route's business.
//
// The rules (docs/how-it-works.md lists them with what an operator sees):
//
//   - A candidate is ejected after 3 failed probes in a row and re-admitted after 5 good ones. The first failure is
//     confirmed about every second, an ejected candidate is probed about every 10 s.
//   - 403, 404, 429 and limits of our own are no signal in either direction. Three failures with a 404 between them
//     are three in a row.
//   - When more than half of the candidates in service fail together, the state is frozen: nobody is ejected, and who
//     was ejected in the last 30 s comes back. It thaws when fewer than half fail. It also ends when a candidate has
//     passed 5 probes in a row since: then our network works, and who still fails twice more is really down.
//   - When this process did not run for 2 s (twice the shortest interval), the probes that were under way are
//     discarded and all failure counts start again. Only the monotonic clock is used.
//   - At process start all candidates are usable. One that a reload adds is usable after its first good probe, or
//     when nothing to probe it with turned up within some ten seconds.
package health
