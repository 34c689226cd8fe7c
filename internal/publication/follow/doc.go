// Package follow reads a publication as an instance does: it asks an HTTPS URL for the documents again and again,
// believes what package publication believes, keeps the accepted documents on disk, and knows what an instance can
// start on when the URL does not answer.
//
// It knows HTTP and files. It must not know what a configuration says: its caller parses the text and reports whether
// it can be used.
package follow
