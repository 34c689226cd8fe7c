package store

import (
	"context"
	"io"
	"iter"
)

// Unusable returns a bucket that could not be opened: every use of it fails with the reason. So wrong credentials of
// one store do not stop the work on the others.
func Unusable(name string, why error) Bucket { return unusable{name, why} }

type unusable struct {
	name string
	why  error
}

func (u unusable) String() string                              { return u.name }
func (u unusable) Check(context.Context, string) error         { return u.why }
func (u unusable) Head(context.Context, string) (Attrs, error) { return Attrs{}, u.why }
func (u unusable) Get(context.Context, string, int64, int64) (io.ReadCloser, Attrs, error) {
	return nil, Attrs{}, u.why
}
func (u unusable) Put(context.Context, string, Content, Header, string) (Attrs, error) {
	return Attrs{}, u.why
}
func (u unusable) List(context.Context, string, string) iter.Seq2[Attrs, error] {
	return func(yield func(Attrs, error) bool) { yield(Attrs{}, u.why) }
}
func (u unusable) Delete(context.Context, string, string) error { return u.why }
