package doctor

import (
	"net/netip"
	"slices"
	"time"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/intercept/survey"
)

// The parts of the facts, by the names under which they may be unread.
const (
	partKernel    = "kernel features"
	partRules     = "interception rules"
	partSockets   = "sockets"
	partPolicy    = "policy rules"
	partChains    = "chains"
	partSettings  = "settings"
	partCounters  = "network counters"
	partConntrack = "connection tracking"
	partLinks     = "interfaces"
	partProcess   = "process"
	partLive      = "admin interface"
	partClock     = "clock"
	partNames     = "name servers"
	partReach     = "reachability"
	partCanary    = "canary"
)

// Facts are what was seen on a machine at one moment. They hold no judgement.
type Facts struct {
	At     time.Time
	Unread []Unread
	got    map[string]bool // parts that are there

	Kernel    []survey.Feature
	Rules     []Rules
	Sockets   []survey.Socket
	Policy    []survey.PolicyRule
	Chains    *survey.Ruleset
	Settings  map[string]string // by key of sysctl(8)
	Counters  map[string]uint64 // of /proc/net/netstat and snmp, as "TcpExt.ListenDrops"
	Conntrack *Conntrack
	Links     []Link
	Process   *Process // the running Weir; nil when there is none
	Live      *Live    // what it says; nil when it was not asked
	LiveError string   // why it did not answer
	Asked     string   // the admin interface that was asked; "" when none was
	Version   string   // of this program
	Clock     *Clock
	Names     []NameServer
	Reach     []Reach
	Canary    *survey.CanaryResult
}

// has tells whether all parts were read.
func (f *Facts) has(parts []string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !f.got[p] })
}

// read notes that a part is there.
func (f *Facts) read(part string) {
	if f.got == nil {
		f.got = map[string]bool{}
	}
	f.got[part] = true
}

// Rules are an interception by its name: what the kernel and the record say.
type Rules struct {
	Status intercept.Status
	// Found is what differs from the recorded plan; nil without one.
	Found []intercept.Finding
	// Error is why part of the status could not be read.
	Error string
	// OwnerAlive says that the process that applied them runs.
	OwnerAlive bool
}

// Conntrack is how full connection tracking is.
type Conntrack struct {
	Count, Max uint64
	// Dropped are packets that found no room; EarlyDropped connections that were
	// forgotten to make room.
	Dropped, EarlyDropped uint64
}

// A Link is a network interface.
type Link struct {
	Name  string
	MTU   int
	Up    bool // set up
	Run   bool // and has a carrier
	Addrs []netip.Addr
}

// A Process is the running Weir as the kernel shows it.
type Process struct {
	PID          int
	Caps         uint64 // CapEff
	Files        int    // open file descriptors
	FileLimit    uint64 // RLIMIT_NOFILE, soft
	FileHard     uint64
	Inodes       map[uint32]bool // of its sockets
	State        byte            // of /proc/PID/stat: R, S, T, …
	Replaced     bool            // its program file is gone or another
	SameNetwork  bool            // it is in the network namespace that was looked at
	HasInodes    bool            // Inodes could be read
	HasFileCount bool            // Files could be read
}

// The capabilities that matter (capabilities(7)).
const (
	capNetBindService = 10
	capNetAdmin       = 12
	capNetRaw         = 13
)

// can tells whether the process has a capability.
func (p *Process) can(bit uint) bool { return p.Caps&(1<<bit) != 0 }

// Clock is what adjtimex(2) says.
type Clock struct {
	Synced   bool
	MaxError time.Duration
}

// A NameServer is one that resolv.conf names, and what it answered.
type NameServer struct {
	Addr   string
	Name   string // that was asked for
	Answer string // "" is an answer; else why there was none
}

// Reach is a connection that was tried.
type Reach struct {
	Kind  string // "cluster" or "control plane"
	Name  string
	Addr  string
	Error string // "" when it was made
}
