package inspect

import (
	"iter"
	"strings"

	"ociproxy/internal/inventory"
	"ociproxy/internal/oci"
)

// Absent is the size for a blob that the store does not hold.
const Absent int64 = -1

// Difference is a digest that only one of two stores holds, or that they hold with different sizes.
type Difference struct {
	Digest oci.Digest
	A, B   int64 // sizes in bytes, or Absent
}

// Comparison adds up what two stores hold.
type Comparison struct {
	OnlyA, OnlyB Totals
	Both         Totals // with the same size; bytes counted once
	Resized      Totals // held by both with different sizes, so at least one inventory is wrong; bytes of A
}

// Same reports whether there was no difference.
func (c Comparison) Same() bool {
	return c.OnlyA == Totals{} && c.OnlyB == Totals{} && c.Resized == Totals{}
}

// Compare calls f with every difference between a and b, in the order of the digests, and returns the totals. An error
// of f ends it.
func Compare(a, b *Inventory, f func(Difference) error) (Comparison, error) {
	return compare(a.Records(), b.Records(), f)
}

func compare(a, b iter.Seq2[inventory.Record, error], f func(Difference) error) (c Comparison, err error) {
	nextA, stopA := iter.Pull2(a)
	defer stopA()
	nextB, stopB := iter.Pull2(b)
	defer stopB()
	ra, errA, okA := nextA()
	rb, errB, okB := nextB()
	for okA || okB {
		if errA != nil {
			return c, errA
		}
		if errB != nil {
			return c, errB
		}
		d := Difference{A: Absent, B: Absent}
		var order int
		switch {
		case !okB:
			order = -1
		case !okA:
			order = 1
		default:
			order = strings.Compare(ra.Digest.String(), rb.Digest.String()) // the order of records
		}
		if order <= 0 {
			d.Digest, d.A = ra.Digest, ra.Size
			ra, errA, okA = nextA()
		}
		if order >= 0 {
			d.Digest, d.B = rb.Digest, rb.Size
			rb, errB, okB = nextB()
		}
		if err := c.add(d, f); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *Comparison) add(d Difference, f func(Difference) error) error {
	switch {
	case d.A == d.B:
		c.Both.Add(d.A)
		return nil
	case d.B == Absent:
		c.OnlyA.Add(d.A)
	case d.A == Absent:
		c.OnlyB.Add(d.B)
	default:
		c.Resized.Add(d.A)
	}
	return f(d)
}
