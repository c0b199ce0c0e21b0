package xds

import (
	"sync"

	"github.com/weirproxy/weir/config/extension"
)

// A Demand asks a Client for resources that requests need, once for all who want the same, and tells them when there is an answer.
// What was found stays subscribed; a name of which nothing exists is given back at once, and asked for again by the next who wants it.
type Demand struct {
	subscribe, unsubscribe func(extension.Ref) // set before the first Want, never changed

	mu    sync.Mutex
	asked map[extension.Ref]*demand // guarded by mu
}

type demand struct {
	done  chan struct{} // closed with the first answer
	known bool
}

// NewDemand makes one; Resolved is for Options.Resolved, and Serve names the client.
func NewDemand() *Demand { return &Demand{asked: map[extension.Ref]*demand{}} }

// Serve says who is asked.
func (d *Demand) Serve(c *Client) { d.subscribe, d.unsubscribe = c.Subscribe, c.Unsubscribe }

// Want asks for a resource. The channel is closed when it serves, or is known not to exist. It never blocks.
func (d *Demand) Want(ref extension.Ref) <-chan struct{} {
	ref = extension.Ref{TypeURL: ref.TypeURL, Name: ref.Name, Source: ref.Source.Stream()}
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.asked[ref]
	if w == nil {
		w = &demand{done: make(chan struct{})}
		d.asked[ref] = w
		go d.subscribe(ref) // it waits for the client's goroutine
	}
	return w.done
}

// Resolved takes an answer.
func (d *Demand) Resolved(r Resolved) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.asked[r.Ref]
	if w == nil {
		return
	}
	if !w.known {
		w.known = true
		close(w.done)
	}
	if !r.Found {
		delete(d.asked, r.Ref)
		go d.unsubscribe(r.Ref)
	}
}
