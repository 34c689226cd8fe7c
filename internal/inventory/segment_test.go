package inventory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/oci"
)

// encodeSegment writes records of one algorithm.
func encodeSegment(t testing.TB, records ...Record) []byte {
	t.Helper()
	s := shelf{}
	refs := s.add(t, records...)
	if len(refs) != 1 {
		t.Fatalf("%d segments, want 1", len(refs))
	}
	return s[refs[0].SHA256]
}

func readAll(r io.Reader) (out []Record, err error) {
	for rec, err := range Records(r) {
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}

func TestSegment(t *testing.T) {
	var many []Record
	for i := range 3000 { // more than one buffer
		many = append(many, Record{sha256Of(i), int64(i) << 20, Blob})
	}
	for name, want := range map[string][]Record{
		"one":     {{sha256Of(1), 0, Blob}},
		"largest": {{sha256Of(1), MaxSize, Blob}},
		"stones":  {{sha256Of(1), 5, Blob}, {sha256Of(2), 0, Tombstone}},
		"sha512":  {{digestOf(4), 5, Blob}},
		"many":    many,
	} {
		t.Run(name, func(t *testing.T) {
			body := encodeSegment(t, want...)
			for way, r := range map[string]io.Reader{
				"whole": bytes.NewReader(body), "bytes": iotest.OneByteReader(bytes.NewReader(body)),
				"data with EOF": iotest.DataErrReader(bytes.NewReader(body)),
			} {
				got, err := readAll(r)
				if err != nil {
					t.Fatalf("%s: %v", way, err)
				}
				if d := cmp.Diff(want, got, cmpopts.EquateComparable(oci.Digest{})); d != "" {
					t.Errorf("%s (-want +got)\n%s", way, d)
				}
			}
		})
	}
}

func TestSegmentFaults(t *testing.T) {
	good := encodeSegment(t, Record{sha256Of(1), 5, Blob}, Record{sha256Of(2), 6, Blob})
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	for name, tt := range map[string]struct {
		body []byte
		want string
	}{
		"empty":         {nil, "ends after 0 bytes"},
		"half a header": {good[:10], "ends after 10 bytes"},
		"only a header": {good[:HeaderLen], "ends in record"},
		"half a record": {good[:HeaderLen+50], "ends in record 1 of 2"},
		"longer":        {append(bytes.Clone(good), 'x'), "follows the last record"},
		"html":          {[]byte("<!doctype html><html><body>log in</body>"), "magic"},
		"newer":         {change(func(b []byte) { b[9] = 2 }), "version 2, this program reads version 1"},
		"record length": {change(func(b []byte) { b[11] = 40 }), "records of 40 bytes"},
		"no records":    {change(func(b []byte) { b[23] = 0 }), "no records"},
		"count":         {change(func(b []byte) { b[23] = 3 }), "ends in record"},
		"huge count":    {change(func(b []byte) { binary.BigEndian.PutUint64(b[16:], 1<<60) }), "records, more than"},
		"largest count": {change(func(b []byte) { binary.BigEndian.PutUint64(b[16:], maxCount) }), "ends in record"},
		"kind 0":        {change(func(b []byte) { b[HeaderLen+37] = 0 }), "record 0: bad segment: unknown kind 0"},
		"kind 9":        {change(func(b []byte) { b[HeaderLen+38+37] = 9 }), "record 1: bad segment: unknown kind 9"},
		"sized stone":   {change(func(b []byte) { b[HeaderLen+37] = 2 }), "a tombstone of size 5"},
		"same twice":    {change(func(b []byte) { b[HeaderLen+38+31] = 1 }), "record 1: not above"},
		"descending":    {change(func(b []byte) { b[HeaderLen+1] = 7 }), "record 1: not above"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readAll(bytes.NewReader(tt.body))
			if !errors.Is(err, ErrSegment) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	t.Run("the reader's own", func(t *testing.T) {
		_, err := readAll(io.MultiReader(bytes.NewReader(good[:60]), iotest.ErrReader(errors.ErrUnsupported)))
		if !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, ErrSegment) {
			t.Errorf("error %v", err)
		}
	})
}

func TestUnhex(t *testing.T) {
	for i := range 300 {
		d := digestOf(i)
		raw := make([]byte, len(d.Hex())/2)
		unhex(raw, d.Hex())
		if back := algorithmOf(d).digest(raw); back != d {
			t.Fatalf("%s became %s", d, back)
		}
	}
}

func FuzzSegment(f *testing.F) {
	f.Add(encodeSegment(f, Record{sha256Of(1), 5, Blob}, Record{sha256Of(2), 0, Tombstone}))
	f.Add(encodeSegment(f, Record{digestOf(4), 5, Blob}))
	f.Add(encodeSegment(f, Record{sha256Of(1), 5, Image}, Record{sha256Of(2), 6, Image}))
	f.Add([]byte(segmentMagic))
	f.Add([]byte("<!doctype html>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		records, err := readAll(bytes.NewReader(body))
		if err != nil {
			if !errors.Is(err, ErrSegment) {
				t.Errorf("error %v does not wrap ErrSegment", err)
			}
			return
		}
		// A segment that was read is written again unchanged, with its nonce.
		nonce, again := binary.BigEndian.Uint32(body[12:]), shelf{}
		ref := again.put(Header{Form: records[0].Form(), Nonce: nonce}, records)
		if !bytes.Equal(again[ref.SHA256], body) || ref.Bytes != int64(len(body)) {
			t.Errorf("wrote %x, read %x", again[ref.SHA256], body)
		}
	})
}
