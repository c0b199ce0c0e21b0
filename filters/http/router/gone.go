package router

import "github.com/weirproxy/weir/proxy/upstream"

// A goneTeller is a codec that says at once when its client resets the stream, or
// leaves; of others that is asked now and then (onTick).
type goneTeller interface{ SetGone(func()) }

// watch has the try under way end as soon as the client is gone.
func (e *exchange) watch() {
	if c, ok := e.s.Codec().(goneTeller); ok {
		c.SetGone(e.gone)
	}
}

// onGone wakes who waits for the try under way, which onTick then ends. The codec
// calls it with its lock held, and not after leave.
func (e *exchange) onGone() {
	e.left.Store(true)
	e.at.WakeReader()
}

func (e *exchange) unwatch() {
	if c, ok := e.s.Codec().(goneTeller); ok {
		c.SetGone(nil)
	}
}

// leave gives up the try under way for its owner to release: what happens to the
// client does not concern it any more.
func (e *exchange) leave() *upstream.Attempt {
	e.unwatch()
	at := e.at
	e.at = nil
	return at
}
