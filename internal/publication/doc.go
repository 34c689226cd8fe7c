// Package publication knows configurations that travel as data: where they lie below a URL, what the signed documents
// beside them say, and when an instance may believe one.
//
//	keys.json                 who may sign what: signed by a root key, which instances are given at their start
//	rings/RING/head.json      which content a ring uses: signed by a config key
//	overrides.json            what must be otherwise for a few hours: signed by an override key
//	content/SHA256.yaml       a configuration, immutable
//
// Each document is a DSSE envelope (package envelope) with a type of its own, names its deployment, and has a
// generation that only grows. So nobody can replay an old one, or one of another deployment: [Trust] remembers the
// newest of each kind that it has accepted.
//
// It must not know how documents are fetched or written, or what a configuration says.
package publication
