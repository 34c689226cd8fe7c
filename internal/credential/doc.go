// Package credential obtains credentials from sources that may hang: helper programs, metadata servers, token
// services. Each request has a time limit, and the error names the source that did not answer.
//
// It knows how Google and Docker find credentials. Two packages need this, or the libraries do not bound it. It must
// not know what the credentials are for.
package credential
