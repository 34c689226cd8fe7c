// Package logsource finds logs and opens them: files, patterns of file names, directories, stdin, and the buckets to
// which the stores deliver their access logs. It takes the day of a log object from its name, in the forms that Amazon
// S3, CloudFront, Google Cloud Storage and Azure write, so that only the days that are wanted are listed and read.
//
// It must not know the layouts of logs, or what is counted of them.
package logsource
