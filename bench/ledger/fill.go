package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inventorytest"
	"ociproxy/internal/inventory/write"
	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

const (
	stores = 30
	blobs  = 1_000_000
)

func storeName(i int) string { return fmt.Sprintf("store-%02d", i) }

// digest returns the digest of the source's blob i. It is the same in every process.
func digest(i int) oci.Digest {
	rng := rand.New(rand.NewPCG(2026, uint64(i)))
	var raw [32]byte
	for at := 0; at < 32; at += 8 {
		binary.BigEndian.PutUint64(raw[at:], rng.Uint64())
	}
	d, err := oci.ParseDigest("sha256:" + hex.EncodeToString(raw[:]))
	if err != nil {
		panic(err) // cannot happen: the digits are hexadecimal
	}
	return d
}

// everybody reports whether all stores hold blob i. For the other blobs, lucky reports whether store holds blob i.
func everybody(i int) bool        { return i%50 != 25 }
func lucky(i int, store int) bool { return sha256.Sum256([]byte(fmt.Sprint(i, store)))[0]&1 == 0 }

// openStore opens store i, a directory below dir.
func openStore(ctx context.Context, dir string, i int) (store.Bucket, error) {
	return store.Open(ctx, "file://"+filepath.Join(dir, storeName(i)), store.Options{})
}

// fill writes the inventories of all stores below dir.
func fill(ctx context.Context, dir string, distinct bool) error {
	var common []inventory.Record
	own := make([][]inventory.Record, stores)
	for i := range blobs {
		r := inventory.Record{Digest: digest(i), Size: int64(i), Kind: inventory.Blob}
		if everybody(i) {
			common = append(common, r)
			continue
		}
		for s := range own {
			if lucky(i, s) {
				own[s] = append(own[s], r)
			}
		}
	}
	shared, err := segment(ctx, common)
	if err != nil {
		return err
	}
	for s := range own {
		if distinct { // another nonce makes the segment another object
			binary.BigEndian.PutUint32(shared.body[12:], uint32(s)+1)
			shared = named(shared.body, shared.ref.Count)
		}
		mine, err := segment(ctx, own[s])
		if err != nil {
			return err
		}
		b, err := openStore(ctx, dir, s)
		if err != nil {
			return err
		}
		if err := publish(ctx, b, storeName(s), shared, mine); err != nil {
			return err
		}
	}
	return nil
}

// made is a segment with its name.
type made struct {
	body []byte
	ref  inventory.SegmentRef
}

func named(body []byte, count uint64) made {
	sum := sha256.Sum256(body)
	return made{body, inventory.SegmentRef{SHA256: hex.EncodeToString(sum[:]), Count: count, Bytes: int64(len(body))}}
}

// segment returns the segment that a writer makes of records.
func segment(ctx context.Context, records []inventory.Record) (made, error) {
	b := &inventorytest.Bucket{}
	h, err := write.New(b, write.Options{Store: "segments"}).Apply(ctx, records...)
	if err != nil {
		return made{}, err
	}
	o, _ := b.Object(inventory.SegmentPrefix + h.Segments[0].SHA256)
	return made{o.Body, h.Segments[0]}, nil
}

// publish puts segments and a head into a store.
func publish(ctx context.Context, b store.Bucket, name string, segments ...made) error {
	h := inventory.Head{Version: 1, Store: name, Generation: 1, WrittenAt: time.Now().UTC().Truncate(time.Second)}
	for _, s := range segments {
		if _, err := b.Put(ctx, store.InventoryPrefix+inventory.SegmentPrefix+s.ref.SHA256, store.Bytes(s.body), store.Header{}, ""); err != nil {
			return err
		}
		h.Segments = append(h.Segments, s.ref)
	}
	body, err := json.Marshal(h)
	if err != nil {
		return err
	}
	_, err = b.Put(ctx, store.InventoryPrefix+inventory.HeadName, store.Bytes(body), store.Header{}, "")
	return err
}
