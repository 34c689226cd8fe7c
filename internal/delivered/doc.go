// Package delivered learns which part of the bytes that clients asked for the stores really sent. The proxy counts what a
// client asks for, and cannot know that a download was cut, or that a client never followed its redirect. The logs of the
// stores know it, for the days and stores that have them. A factor that was learned there corrects the proxy's count of other
// days.
//
// It knows classes of requests and their sums. It must not know files, prices or reports.
package delivered
