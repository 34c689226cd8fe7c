// Package fronts knows the file that says which fronts serve one name, how to switch a front off and on in it, and
// whether the name servers of both DNS providers follow.
//
// It must not know the providers: Terraform reads the same file and tells them.
package fronts
