// Package credential obtains credentials from sources that may hang: helper programs, metadata servers, token
// services. Each request has a time limit, and the error names the source that did not answer.
//
// It knows how Google and Docker find credentials. The code is here because two packages need it, or because the
// libraries set no time limit. It must not know what the credentials are for.
package credential
