package filters

import "github.com/weirproxy/weir/config/extension"

// A Discoverer asks the control plane for what a request needs (on-demand
// discovery). The data plane knows no more of it.
type Discoverer interface {
	// Want asks for a resource by name, once for all who want it, and gives a channel
	// that is closed when the resource serves, or is known not to exist. It never
	// blocks.
	Want(ref extension.Ref) <-chan struct{}
}
