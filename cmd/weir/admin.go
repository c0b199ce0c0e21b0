package main

import "context"

func (p *process) admin(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
