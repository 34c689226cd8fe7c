package main

import "context"

func (a *app) probeAgainst(ctx context.Context, name string, f *probeFlags) error { return nil }
