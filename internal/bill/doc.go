// Package bill knows what a registry's stores, CDNs and fronts cost: the items of a bill besides egress, the scopes in
// which quantities add up, the accounts of the configuration, the exact bill of a month and how it is allotted.
//
// It must not know logs, how traffic is counted, or how results are shown. The server does not contain it: the server
// knows only the marginal price of a byte.
package bill
