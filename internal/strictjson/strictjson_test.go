package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

type doc struct {
	Name string            `json:"name"`
	Size int64             `json:"size,omitempty"`
	More map[string]string `json:"more"`
	List []item            `json:"list"`
	At   *time.Time        `json:"at"`
	Any  json.RawMessage   `json:"any"`
	Up   *doc              `json:"up"`
	inner
}

type (
	item  struct{ Plain int }
	inner struct {
		Deep string `json:"deep"`
	}
)

func TestUnmarshal(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tt := range []struct {
		name, text string
		most       Bounds
		want       error
	}{
		{"plain", `{"name":"a","size":1,"more":{"A":"x","a":"y"},"list":[{"Plain":1}],"at":"2026-01-02T03:04:05Z","deep":"d"}`, Bounds{}, nil},
		{"nulls", `{"name":null,"more":null,"list":null,"up":null,"any":null}`, Bounds{}, nil},
		{"unknown keys", `{"x":{"NAME":1},"y":[{"a":[]}]}`, Bounds{}, nil},
		{"unknown keys, twice", `{"x":{"NAME":1},"x":[{"a":[]}]}`, Bounds{}, ErrKey},
		{"own reading", `{"any":{"NAME":1,"name":2}}`, Bounds{}, nil},
		{"other case", `{"Name":"a"}`, Bounds{}, ErrKey},
		{"other case by Unicode", `{"\u017fize":1}`, Bounds{}, ErrKey},
		{"both cases", `{"name":"a","NAME":"b"}`, Bounds{}, ErrKey},
		{"escaped is the same", `{"n\u0061me":"a"}`, Bounds{}, nil},
		{"twice", `{"name":"a","n\u0061me":"b"}`, Bounds{}, ErrKey},
		{"twice, one below a list and a pointer", `{"up":{"list":[{"Plain":1,"plain":2}]}}`, Bounds{}, ErrKey},
		{"of an embedded struct", `{"DEEP":"d"}`, Bounds{}, ErrKey},
		{"as deep as may be", `{"x":` + nested(63) + `}`, Bounds{}, nil},
		{"deeper", `{"x":` + nested(64) + `}`, Bounds{}, ErrBounds},
		{"deep in a string", `{"name":"` + strings.Repeat(`\"[`, 100) + `"}`, Bounds{}, nil},
		{"as long as may be", `{"name":"a"}`, Bounds{Bytes: 12}, nil},
		{"longer", `{"name":"a"}`, Bounds{Bytes: 11}, ErrBounds},
		{"as many as may be", `{"list":[{},{}]}`, Bounds{Values: 5}, nil},
		{"more", `{"list":[{},{}]}`, Bounds{Values: 4}, ErrBounds},
		{"wide", `{"list":[` + strings.Repeat("{},", 1<<20) + `{}]}`, Bounds{}, ErrBounds},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var v, w doc
			if err := Unmarshal([]byte(tt.text), &v, tt.most); !errors.Is(err, tt.want) {
				t.Errorf("Unmarshal: %v, want %v", err, tt.want)
			}
			if err := Read(iotest.OneByteReader(strings.NewReader(tt.text)), &w, tt.most); !errors.Is(err, tt.want) {
				t.Errorf("Read: %v, want %v", err, tt.want)
			}
			if tt.want != nil {
				return
			}
			var plain doc
			if err := json.Unmarshal([]byte(tt.text), &plain); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plain, v, cmp.AllowUnexported(doc{}, inner{})); diff != "" {
				t.Errorf("(-encoding/json +Unmarshal)\n%s", diff)
			}
		})
	}
}

func TestUnmarshalClosed(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"name":"a","size":1,"list":[{"Plain":1}],"deep":"d"}`: true,
		`{"name":"a","x":1}`:      false,
		`{"Name":"a"}`:            false,
		`{"list":[{"plain":1}]}`:  false,
		`{"name":"a","name":"a"}`: false,
		`{"name":"a"} {}`:         false,
	} {
		var v doc
		if err := UnmarshalClosed([]byte(text), &v, Bounds{}); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNotJSON(t *testing.T) {
	for _, text := range []string{"", "{", "[1", `{"name":1}`, "{} {}", `"`, "]]]]", strings.Repeat("]", 100) + strings.Repeat("[", 100)} {
		var v doc
		if err := Unmarshal([]byte(text), &v, Bounds{}); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

// A decoder that reads token by token never nests deeply, however long the text is.
func TestReaderIsShallow(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"x":`), &repeat{"["})
	dec := json.NewDecoder(NewReader(endless, Bounds{Bytes: 1 << 40}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for {
		if _, err := dec.Token(); err != nil {
			if !errors.Is(err, ErrBounds) {
				t.Error(err)
			}
			break
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes to find out", n)
	}
}

type repeat struct{ text string }

func (r *repeat) Read(p []byte) (int, error) { return copy(p, strings.Repeat(r.text, len(p))), nil }

// Text within the bounds passes unchanged, in pieces of any size, with the error of the source.
func TestReaderPasses(t *testing.T) {
	text := `{"a":["\\",{"b":"\"]]]"}]} not JSON ]]`
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
		if got, err := io.ReadAll(NewReader(r, Bounds{})); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	broken := errors.New("broken")
	if _, err := io.ReadAll(NewReader(iotest.ErrReader(broken), Bounds{})); !errors.Is(err, broken) {
		t.Errorf("%v, want the source's error", err)
	}
}

// Unmarshal must read the same values as encoding/json, and nothing that has a duplicate key.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"name":"a","list":[{"Plain":1}],"up":{"deep":"x"}}`))
	f.Add([]byte(`{"name":"a","NAME":"b"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var v, plain doc
		err := Unmarshal(text, &v, Bounds{})
		if err != nil {
			return
		}
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatalf("read what is no JSON: %v", err)
		}
		a, _ := json.Marshal(v)
		b, _ := json.Marshal(plain)
		if !bytes.Equal(a, b) {
			t.Errorf("%s instead of %s", a, b)
		}
	})
}
