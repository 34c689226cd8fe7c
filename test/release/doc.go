// Package release tests the files of a release: the programs are static, small and reproducible, systemd accepts the
// units, and archives, packages and signatures are as the pages say.
package release
