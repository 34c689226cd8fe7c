// Package price knows the units in which providers bill, price ladders, and the one conversion from a quantity to money.
//
// It must not know what is billed, who bills it, or where a price comes from.
package price
