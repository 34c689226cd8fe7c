package inventory

import (
	"slices"
	"strings"
	"testing"
)

// An image record has the length of its form, and a segment of images has nothing else.
func TestImageSegments(t *testing.T) {
	all := shelf{}
	ref := all.add(t, Record{sha256Of(1), 7, Image}, Record{sha256Of(2), 8, Image})[0]
	if !ref.Images() || ref.Bytes != HeaderLen+2*39 {
		t.Errorf("segment %+v", ref)
	}
	whole := all[ref.SHA256]
	for name, at := range map[string]int{"kind": HeaderLen + 37, "last byte": HeaderLen + 38, "last byte of the last": HeaderLen + 77} {
		body := slices.Clone(whole)
		body[at] ^= 1
		var err error
		for _, err = range Records(strings.NewReader(string(body))) {
		}
		if err == nil || !strings.Contains(err.Error(), "among images") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	// A segment of blobs has no images.
	ref = all.add(t, Record{sha256Of(1), 7, Blob})[0]
	body := slices.Clone(all[ref.SHA256])
	body[HeaderLen+37] = byte(Image)
	var err error
	for _, err = range Records(strings.NewReader(string(body))) {
	}
	if err == nil || !strings.Contains(err.Error(), "unknown image") {
		t.Errorf("an image among blobs: error %v", err)
	}
}
