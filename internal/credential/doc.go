// Package credential asks for credentials where that may hang: programs that help, metadata servers, token services. Each has a
// time, and the error says who did not answer.
//
// It knows Google's and Docker's ways to find credentials, which two packages need or which the libraries do not bound. It must
// not know what the credentials are for.
package credential
