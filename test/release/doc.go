// Package release tests what is shipped: that the programs are static, small and reproducible, that systemd accepts the
// units, and that archives, packages and signatures are what the pages say.
package release
