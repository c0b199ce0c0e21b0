package xds

import (
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
)

// typeState is what is known of one type.
type typeState struct {
	row
	k      kind
	from   extension.Source // zero for the first of a kind
	source int              // index of its source, -1 when none serves it
	fetch  time.Duration    // initial_fetch_timeout, 0 is for ever

	version  string // last accepted; survives the stream
	whole    string // last accepted of which nothing waits any more,
	since    uint64 // and the snapshot that has it
	applied  string // the same, once that snapshot was applied
	heard    bool   // a first answer came
	answered bool   // it came, or is no longer waited for
	restored bool   // what serves is the last known good, until the first answer
	slots    map[string]*slot
	wild     bool               // everything is subscribed to, besides names
	pins     map[string]*pin    // Subscribed
	aliases  map[string]string  // names that were asked for, and by which name their resource is here
	routes   []extension.Source // of scopes: where those who refer to them have their routes from
	asks     []string           // see interest
	stale    bool               // asks is to be made again
	fresh    []string           // names to be put into asks
	lacking  bool               // not all of asks have slots

	// See work.go.
	marked map[*slot]struct{}
	all    bool                // as if all were marked
	used   map[string]struct{} // see references; nil is to be made
	sum    tally               // of all slots
	looks  int                 // slots that were looked at, ever

	// Of the current stream, cleared when it is lost.
	nonce   string   // of the last response
	asked   bool     // a request was sent
	starred bool     // one named "*" (SotW)
	names   []string // that the requests so far asked for
	owed    []owed   // answers that were not sent yet: at most one, but of a delta stream one for each response
	held    bool     // they wait for a timer

	file *response // last content of a file source

	queue []*response // responses being decoded; only the first is worked on
	seq   uint64      // of the DecodeItems that is under way

	nack     *NACK // the last one, nil when there was none
	counters Counters
}

// owed is an ACK or NACK to be sent. A NACK has a text.
type owed struct{ nonce, text string }

// slot is one name of a type.
type slot struct {
	name     string
	want     *config.Resource // last accepted version; nil when there is none or it was removed
	version  string           // by which a delta server knows want
	gone     bool             // the server said that there is none; want may be kept all the same
	live     *config.Resource // in the last snapshot; nil when it is not there
	next     *config.Resource // scratch of assemble
	since    time.Time        // when want came to differ from live, or when the name was asked for
	expired  bool             // the deadline passed: want goes in as it is
	heard    bool             // a version was offered, or is no longer waited for: see missingRoot
	restored bool             // want is from the last known good configuration
	waits    string           // what want waits for
	ttl      time.Duration    // that it came with last, 0 is for ever
	dies     time.Time        // when it runs out; zero is never
	bad      *ResourceError   // why the version offered last was refused
	spare    *config.Resource // that version, when it may be taken later: see rescope
	updated  time.Time        // when live changed
	counts   tally            // as they are in typeState.sum
	counted  Counters         // of this one: Envoy counts every secret's subscription by itself
}
