package intercept

import (
	"fmt"
	"slices"
)

// Status is what the kernel and the record say about an interception.
type Status struct {
	// Name is the plan's name.
	Name string `json:"name"`
	// Active is whether its rules are there: packets are being intercepted.
	Active bool `json:"active"`
	// Backend is what holds them; "iptables" is told as which kind it is.
	Backend string `json:"backend,omitempty"`
	// Mode is resident if the table has an owner, else installed.
	Mode string `json:"mode,omitempty"`
	// Owner is the netlink port of the socket that holds a resident table.
	Owner uint32 `json:"owner,omitempty"`
	// PID is the process that applied it, by the record; 0 when unknown.
	PID int `json:"pid,omitempty"`
	// Guard is the process that guards installed rules; 0 without one.
	Guard int `json:"guard,omitempty"`
	// Recorded is the mode by the record: what it was, when the table is gone.
	Recorded string `json:"recorded,omitempty"`
	// Comment is the table's comment: the marks and numbers in use.
	Comment string `json:"comment,omitempty"`
	// Rules are the rules that count packets, in the kernel's order.
	Rules []RuleStatus `json:"rules,omitempty"`
	// Routing are the policy rules and routes, when the record says which.
	Routing []RoutingStatus `json:"routing,omitempty"`
	// Plan is the recorded plan; nil without a record.
	Plan *Plan `json:"plan,omitempty"`
}

// RuleStatus is one counting rule.
type RuleStatus struct {
	Chain   string `json:"chain"`
	Comment string `json:"comment"`
	// Packets and Bytes are since the rule was added. In the chains capture and
	// take a packet is a connection's SYN; in divert, everything after.
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// RoutingStatus is one policy rule or route.
type RoutingStatus struct {
	// Command is the command of ip(8) that adds it.
	Command string `json:"command"`
	Present bool   `json:"present"`
}

// Intercepted is how many first packets went to the listener.
func (s Status) Intercepted() (n uint64) {
	for _, r := range s.Rules {
		if r.Chain == chainTake && r.Comment == commentIntercepted {
			n += r.Packets
		}
	}
	return n
}

// Missed is how many wanted first packets found no listener.
func (s Status) Missed() (n uint64) {
	for _, r := range s.Rules {
		if r.Chain == chainTake && r.Comment == commentMissed {
			n += r.Packets
		}
	}
	return n
}

// GetStatus reports on an interception of the calling thread's network namespace.
func GetStatus(name string) (Status, error) {
	s := Status{Name: name}
	if !validName(name) {
		return s, fmt.Errorf("intercept %q: name: not a plan's name", name)
	}
	if err := s.read(); err != nil {
		return s, fmt.Errorf("intercept %q: status: %w", name, err)
	}
	return s, nil
}

// Findings are what Verify finds of the recorded plan, and whether its guard is there.
func (s Status) Findings() []Finding {
	if s.Plan == nil {
		return nil
	}
	found := Verify(*s.Plan)
	if s.Active && s.Guard == 0 && s.Mode == Installed.String() && s.Plan.NeedsGuard(Installed) {
		found = append(found, Finding{
			"guard-missing", Problem, "no guard runs, without which nothing is intercepted: connections pass", "weir intercept guard --name " + s.Name,
		})
	}
	return found
}

func (s *Status) read() error {
	rec, found, err := readRecord(s.Name)
	if err != nil {
		return err
	}
	there, err := listAll()
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(there, func(t installed) bool { return t.name == s.Name }); i >= 0 {
		t := there[i]
		s.Active, s.Backend, s.Comment, s.Owner, s.Mode = true, t.backend.String(), t.comment, t.owner, Installed.String()
		if t.owner != 0 || t.backend != NFT && found && rec.Mode == Resident {
			s.Mode = Resident.String()
		}
		fw, err := dialFirewall(t.backend)
		if err != nil {
			return err
		}
		defer fw.close()
		if s.Rules, err = fw.counters(s.Name); err != nil {
			return err
		}
	}
	if !found {
		return nil
	}
	s.PID, s.Plan, s.Guard, s.Recorded = rec.PID, &rec.Plan, guardOf(s.Name), rec.Mode.String()
	rt, err := dialRT()
	if err != nil {
		return err
	}
	defer rt.close()
	for _, r := range rec.Plan.routing() {
		present, err := rt.present(r)
		if err != nil {
			return err
		}
		s.Routing = append(s.Routing, RoutingStatus{r.String(), present})
	}
	return nil
}
