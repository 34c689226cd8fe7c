// Package accesslog reads recorded HTTP traffic: the proxy's own request log, the access logs of the fronts that stand
// before it, and those of the buckets and CDNs to which it sends clients. It knows the layout of each log, finds out by itself which one a line has, and gives every line as
// one small [Record]. It reads a line at a time, in bounded memory, and survives lines that are no lines of a log.
//
// It must not know configs, places, decisions, or what its caller does with the records.
//
// The layouts are those that their makers document: LogEntry and HttpRequest of Google's Cloud Logging, "Access log
// entries" of AWS's Application Load Balancer, "Standard logging reference" of Amazon CloudFront, the formats "combined"
// of nginx and of Apache's mod_log_config, "Server access log format" of Amazon S3, "Usage logs" of Google Cloud Storage,
// "Blob Storage monitoring data reference" of Azure and its table StorageBlobLogs. A log of any other kind can be read when
// its fields are declared: [ParseLayout].
//
// Logs do not mean the same by the time of a request. S3 and Azure write when it came, CloudFront and Google's storage
// when its answer ended, the proxy when it answered. Nor do they mean the same by the bytes of an answer: S3, Google's
// storage and Azure count the body, CloudFront and load balancers the headers too. A download that was cut counts what
// was sent of it, in all of them.
package accesslog
