package intercept

import "slices"

// firewall is what holds plans' rules in the kernel. It works on the network
// namespace of the thread that dialled it, from any thread.
type firewall interface {
	// list names the interceptions that this backend holds.
	list() ([]installed, error)
	// replace puts the rules of the plan in; old says that rules of its name are
	// there, which go in the same step.
	replace(p Plan, mode Mode, old bool) error
	// remove takes the rules of that name away.
	remove(name string) error
	// compare tells v how the rules that are there differ from those of its plan.
	compare(v *verifier) error
	// counters are the rules that count packets, in the kernel's order.
	counters(name string) ([]RuleStatus, error)
	// renew makes the plan's lease hold for LeaseTime from now on, for these families
	// and no other.
	renew(p Plan, f Families) error
	// leased tells for which families the plan's lease holds.
	leased(p Plan) (Families, error)
	close()
}

// installed is an interception that the kernel has.
type installed struct {
	name    string // of the plan
	backend Backend
	comment string // see tableComment
	owner   uint32 // netlink port of the process that it belongs to, or 0
	mine    bool   // it belongs to us
}

// String names it as the backend's tools do.
func (i installed) String() string { return "table inet " + tablePrefix + i.name }

// dialFirewall opens a backend.
func dialFirewall(Backend) (firewall, error) {
	nf, err := dialNF()
	if err != nil {
		return nil, err
	}
	return &nftWall{nf}, nil
}

// isInstalled tells whether the firewall has rules of that name.
func isInstalled(fw firewall, name string) (bool, error) {
	there, err := fw.list()
	return slices.ContainsFunc(there, func(i installed) bool { return i.name == name }), err
}
