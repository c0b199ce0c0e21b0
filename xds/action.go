package xds

import (
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"google.golang.org/protobuf/types/known/anypb"
)

// An Action is what a Session wants done: one of the types of this file. The actions of a step are done in their order.
type Action interface{ action() }

// Connect asks to open a stream, or to read and watch a file. The answer is Connected, StreamLost, Received or FileFailed.
type Connect struct{ Source int }

// Open tells what a source is that references name; its index is new. Connect follows.
type Open struct {
	Source  int
	TypeURL string // of what comes from it
	From    extension.Source
}

// Close ends a source that Open told of, for good.
type Close struct{ Source int }

// Send asks to send a request of the state-of-the-world protocol on a source's stream.
type Send struct {
	Source  int
	Request *discoveryv3.DiscoveryRequest
}

// SendDelta asks to send a request of the incremental protocol on a source's stream.
type SendDelta struct {
	Source  int
	Request *discoveryv3.DeltaDiscoveryRequest
}

// DecodeItems asks to decode resources. The answer is Decoded, with the same TypeURL and Seq. A panic in a decoder is an error.
type DecodeItems struct {
	TypeURL string
	Seq     uint64
	Items   []*anypb.Any
	Was     []*config.Resource // what is here of each item, of another version; nil when nothing is
}

// Publish hands out a new snapshot. The answer is Applied.
type Publish struct{ Snapshot *config.Snapshot }

// Resolved tells of a resource that was Subscribed: it serves since the snapshot that was published last, or the server says that there
// is none, or what it offers is refused. It comes again when that changes.
type Resolved struct {
	Ref   extension.Ref
	Found bool
}

// StartTimer starts a timer, or restarts it. The answer is TimerFired.
type StartTimer struct {
	ID    string
	After time.Duration
}

// StopTimer stops a timer.
type StopTimer struct{ ID string }

// Log is a line for people.
type Log struct {
	Level Level
	Text  string
}

// Level is how much a Log line matters.
type Level uint8

// The levels of Log lines.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// String prints the level as zap does.
func (l Level) String() string { return [...]string{"debug", "info", "warn", "error"}[l&3] }

func (Connect) action()     {}
func (Open) action()        {}
func (Close) action()       {}
func (Send) action()        {}
func (SendDelta) action()   {}
func (DecodeItems) action() {}
func (Publish) action()     {}
func (Resolved) action()    {}
func (StartTimer) action()  {}
func (StopTimer) action()   {}
func (Log) action()         {}
