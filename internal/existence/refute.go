package existence

import "ociproxy/internal/oci"

// Refute remembers, as long as any such answer, that the origin of k lacks what it stands for, whatever it says itself, also
// in answer to a check that is under way.
func (c *Checker) Refute(k Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.flights { // Options.InFlight at most
		if f.target.Key == k {
			f.refuted = true
		}
	}
	c.cache.Set(k, Answer{Size: -1})
}

// lost is told that the origin of k lacks what it was remembered to have. A registry that has lost a
// manifest has lost others of the repository (an image is an index and its manifests), and each that
// is still remembered is a pull that fails. So what is remembered of the repository there is
// forgotten, a few times a second at most: what is not forgotten now is found out in the same way later.
func (c *Checker) lost(k Key) {
	if (k.Kind == oci.KindManifest || k.Kind == oci.KindTag) && c.forgets.Allow() {
		c.forget(func(other Key) bool { return other.Origin == k.Origin && other.Name == k.Name })
	}
}

// forget drops what those are believed to hold that are chosen. It reads the whole cache, which takes some milliseconds.
func (c *Checker) forget(chosen func(Key) bool) {
	for k, a := range c.cache.All() {
		if a.Held && chosen(k) {
			c.cache.Invalidate(k)
		}
	}
}
