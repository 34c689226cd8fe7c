package existence

import "ociproxy/internal/oci"

// Refute remembers, as long as any such answer, that the origin of k does not hold it, whatever the origin itself
// says, also in answer to a check that is under way.
func (c *Checker) Refute(k Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.flights { // at most Options.InFlight
		if f.target.Key == k {
			f.refuted = true
		}
	}
	c.cache.Set(k, Answer{Size: -1})
}

// lost handles the news that the origin of k does not hold what it was remembered to hold. A registry that has lost a
// manifest has lost others of the repository (an image is an index and its manifests), and each that is still
// remembered is a pull that fails. So the checker forgets what it remembers of that repository there, a few times a
// second at most. What it does not forget now, it finds out later in the same way.
func (c *Checker) lost(k Key) {
	if (k.Kind == oci.KindManifest || k.Kind == oci.KindTag) && c.forgets.Allow() {
		c.forget(func(other Key) bool { return other.Origin == k.Origin && other.Name == k.Name })
	}
}

// forget drops the positive answers for the chosen keys. It reads the complete cache, which takes some milliseconds.
func (c *Checker) forget(chosen func(Key) bool) {
	for k, a := range c.cache.All() {
		if a.Held && chosen(k) {
			c.cache.Invalidate(k)
		}
	}
}
