// Package show shows the results of a probe: as tables for people, as XML for CI systems, as Markdown for comments on
// pull requests.
//
// It knows what a report says and how to fold many classes of clients into a few columns. It must not know how the
// probe asks, or flags and exit codes.
package show
