package store

import "math/bits"

// joinCRC returns the CRC32C of two stretches of bytes, one after the other, from their checksums and the length of the
// second. So parts that were read in any order together prove the complete content.
//
// Appending n zero bits to a stretch multiplies its remainder by x^n modulo the polynomial; then the second checksum is
// added. (The definition of the checksum inverts at start and end. These inversions cancel each other.)
func joinCRC(a, b uint32, length int64) uint32 {
	power := uint32(1) << 31 >> 8 // x^8: the bits are reversed, bit 31 is x^0
	for n := uint64(length); n > 0; n >>= 1 {
		if n&1 != 0 {
			a = multiply(a, power)
		}
		power = multiply(power, power)
	}
	return a ^ b
}

// multiply multiplies two polynomials with reversed bits modulo the polynomial of CRC32C.
func multiply(a, b uint32) uint32 {
	const polynomial = 0x82f63b78 // hash/crc32.Castagnoli
	var product uint32
	for ; a != 0; a <<= 1 {
		if bits.LeadingZeros32(a) == 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ polynomial
		} else {
			b >>= 1
		}
	}
	return product
}
