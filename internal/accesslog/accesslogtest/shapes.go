package accesslogtest

import "strings"

// Shape is the layout of a log.
type Shape struct {
	Name string
	// Head is what a file begins with.
	Head string
	Line func(*Request) string
}

// Shapes returns all layouts.
func Shapes() []Shape {
	return []Shape{
		{"s3", "", S3},
		{"cloudfront", CloudFrontHead(), CloudFront},
		{"cloudfront-json", "", CloudFrontJSON},
		{"gcs", GCSHead(), GCS},
		{"azure", "", Azure},
		{"azure-table", "", AzureTable},
	}
}

// Named returns a layout by its name. It panics when there is none.
func Named(name string) Shape {
	for _, s := range Shapes() {
		if s.Name == name {
			return s
		}
	}
	panic("accesslogtest: no layout " + name)
}

// File returns a log of the requests.
func (s Shape) File(requests []Request) string {
	var out strings.Builder
	out.WriteString(s.Head)
	for i := range requests {
		out.WriteString(s.Line(&requests[i]))
		out.WriteByte('\n')
	}
	return out.String()
}
