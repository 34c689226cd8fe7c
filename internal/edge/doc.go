// Package edge knows which paths the server and a store answer, which of them clients need, and how the fronts of
// providers let only these through: Cloud Armor, nginx, CloudFront, Fastly. It knows the providers' limits for such
// rules.
//
// It must not know how a request is answered. The server looks up its pages in the table of this package, and the
// grammar of the registry API is that of package oci: a test compares the patterns here with its parser.
package edge
