// Package health says which candidates are usable.
//
// It knows how to probe a store or upstream with real objects, and when to take a candidate out of service and back.
// It distinguishes a dead candidate from trouble on our own side: a cut network freezes the state, and a process that
// was stopped discards its measurements. It must not know routing, configuration or inventories: the caller says what
// to probe and which candidates matter now, and reads a set back. Health only removes candidates; package route
// decides who answers when none is left.
//
// The rules (docs/how-it-works.md lists them with what an operator sees):
//
//   - A candidate is ejected after 3 failed probes in a row and re-admitted after 5 good ones. The first failure is
//     confirmed about every second, an ejected candidate is probed about every 10 s.
//   - 403, 404, 429 and our own limits are no signal in either direction. Three failures with a 404 between them
//     are three in a row.
//   - When more than half of the candidates in service fail together, the state is frozen: no candidate is ejected, and
//     the candidates that were ejected in the last 30 s come back. The state thaws when fewer than half fail. It also
//     thaws when a candidate has passed 5 probes in a row since the freeze: then our network works, and a candidate
//     that fails twice more is really down.
//   - When this process did not run for 2 s (twice the shortest interval), it discards the probes that were under way,
//     and all failure counts start again. Only the monotonic clock is used.
//   - At process start all candidates are usable. A candidate that a reload adds is usable after its first good probe,
//     or after some ten seconds in which there was nothing to probe it with.
package health
