// Package accesslog reads recorded HTTP traffic: the proxy's own request log, and the access logs of the fronts that
// stand before it. It knows the layout of each log, finds out by itself which one a line has, and gives every line as
// one small [Record]. It reads a line at a time, in bounded memory, and survives lines that are no lines of a log.
//
// It must not know configs, places, decisions, or what its caller does with the records.
//
// The layouts are those that their makers document: LogEntry and HttpRequest of Google's Cloud Logging, "Access log
// entries" of AWS's Application Load Balancer, "Standard logging reference" of Amazon CloudFront, the formats "combined"
// of nginx and of Apache's mod_log_config.
package accesslog
