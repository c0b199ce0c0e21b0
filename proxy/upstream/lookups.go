package upstream

import "context"

type lookups struct{}

func (l *lookups) init(Options)              {}
func (l *lookups) start(ctx context.Context) {}
func (l *lookups) wait()                     {}

type dnsTargets struct{}
