package xds

import (
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
)

// An Event is something that happened, and when. Time comes only from here: a Session reads no clock.
type Event struct {
	At   time.Time
	What Happening
}

// A Happening is what an Event tells: one of the types of this file.
type Happening interface{ happening() }

// Started is the first event: static resources are taken in and the sources are to be connected.
type Started struct{}

// Connected says that a stream is open. Requests follow.
type Connected struct{ Source int }

// StreamLost says that a stream ended or could not be opened.
type StreamLost struct {
	Source int
	Err    error
	Jitter float64 // random, in [0,1): the share of the back-off that is waited
}

// Received is a state-of-the-world response from a stream or a file.
type Received struct {
	Source   int
	Response *discoveryv3.DiscoveryResponse
	// Where puts lines to the mistakes of the i-th resource, if it is set: files have lines.
	Where func(i int, err error) error
}

// ReceivedDelta is a response of the incremental protocol.
type ReceivedDelta struct {
	Source   int
	Response *discoveryv3.DeltaDiscoveryResponse
}

// FileFailed says that a file source could not be read or parsed. What it held before stays.
type FileFailed struct {
	Source int
	Err    error
}

// Decoded answers a DecodeItems action: one result for each item, in order.
type Decoded struct {
	TypeURL string
	Seq     uint64
	Results []Result
}

// A Result is one decoded resource, or why it is refused.
type Result struct {
	Resource *config.Resource
	Err      error
}

// TimerFired says that a timer ran out.
type TimerFired struct{ ID string }

// Applied answers a Publish action.
type Applied struct {
	Version uint64
	Err     error
}

// Subscribed asks for one more resource, whether or not another one refers to it: of a type that is subscribed by name, or beside the
// wildcard. Resolved answers. How long the answer is waited for is up to who asks.
type Subscribed struct{ Ref extension.Ref }

// Unsubscribed takes a Subscribed back.
type Unsubscribed struct{ Ref extension.Ref }

func (Started) happening()       {}
func (Connected) happening()     {}
func (StreamLost) happening()    {}
func (Received) happening()      {}
func (ReceivedDelta) happening() {}
func (FileFailed) happening()    {}
func (Decoded) happening()       {}
func (TimerFired) happening()    {}
func (Applied) happening()       {}
func (Subscribed) happening()    {}
func (Unsubscribed) happening()  {}
