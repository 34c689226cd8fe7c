// Package ranges answers one question: in which cloud and region is this address?
//
// It knows the providers' published range files (feeds), how to keep them fresh, and when to reject them. It knows
// the longest-prefix table made from them, and the operator's GeoIP files as a fallback. It must not know who asks
// (that is clientip) or what the answer decides (that is route).
//
// It looks an address up in this order: the operator's overrides, which win even over a longer prefix of a feed; the
// feeds by longest prefix; GeoIP. When a source fails, its last good copy stays in use.
//
// # Equal prefixes
//
// If one feed lists a prefix under several regions, the prefix has no known region, but its cloud is known. A row
// whose region is on the map beats a row of the same cloud whose region is not. Otherwise the first one wins: feeds
// in the order of the config file, rows in the order of the feed. [FeedStatus.Conflicts] counts all duplicates except
// repetitions of the same place.
//
// # When a feed is rejected
//
// A feed is rejected when it has a row that cannot be read, a prefix shorter than /8 (IPv4) or /20 (IPv6), or private
// or reserved space, or when its IPv4 or IPv6 space shrinks by more than 25 % or grows by more than 50 %. Then the
// last good copy stays in use and [FeedStatus] says why. If the provider really changed that much, remove the feed's
// files in ranges.cache, renew the seed, and restart; for a local file a restart is enough. A reload is not enough,
// because new copies are still compared with the copy in use. An operator's own csv may list private and
// documentation ranges. Rows of a geofeed in documentation or benchmarking space are left out and counted, because
// Vultr publishes some.
//
// # Where a copy comes from at start
//
// A local file is read at once. For a URL, the feed uses the copy on disk if that is newer than the seed, else the
// seed, else nothing until the first refresh. [New] never uses the network.
//
// At a reload, a feed whose configuration did not change keeps the copy in use ([Options.Previous]), whether or not
// there is a copy on disk.
package ranges
