// Package onesource tests that one config drives the servers, the chart and the Terraform modules: all three have the same
// stores, the same hosts, the same front and the same ports, and a change of the config changes all three.
package onesource
