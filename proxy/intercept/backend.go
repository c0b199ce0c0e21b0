package intercept

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

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
	// shared names the tables and chains that hold others' rules too; tidy removes
	// those that were not there before and are empty.
	shared() ([]string, error)
	tidy(before []string) error
	close()
}

// installed is an interception that the kernel has.
type installed struct {
	name    string // of the plan
	backend Backend
	comment string // see tableComment
	owner   uint32 // netlink port of the process that it belongs to, or 0
	pid     int    // the process that it belongs to, where a record says so
}

// String names it as the backend's tools do.
func (i installed) String() string {
	if i.backend == NFT {
		return "table inet " + tablePrefix + i.name
	}
	return "rules of " + i.backend.String() + " " + iptName(i.name, "*")
}

// heldBy is who it belongs to, or empty.
func (i installed) heldBy() string {
	switch {
	case i.owner != 0:
		return fmt.Sprintf("netlink port %d", i.owner)
	case i.pid != 0:
		return fmt.Sprintf("process %d", i.pid)
	}
	return ""
}

// dialFirewall opens a backend.
func dialFirewall(b Backend) (firewall, error) {
	if b != NFT {
		return dialIPTables(b)
	}
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

// listAll names the interceptions of all backends. No program is run where there
// is nothing that it could tell.
func listAll() ([]installed, error) {
	nf, err := dialNF()
	if err != nil {
		return nil, err
	}
	defer nf.close()
	out, err := (&nftWall{nf}).list()
	if err != nil {
		return nil, err
	}
	for _, b := range []Backend{IPTablesNFT, IPTablesLegacy} {
		four, err4 := iptPlaces(nf, b == IPTablesLegacy, false)
		six, err6 := iptPlaces(nf, b == IPTablesLegacy, true)
		if err4 != nil || err6 != nil || len(four)+len(six) == 0 {
			continue // the kernel has no such tables
		}
		fw, err := dialIPTables(b)
		if err != nil {
			if b == IPTablesLegacy {
				continue // somebody's tables, and no program that could have made rules of ours
			}
			return nil, fmt.Errorf("there are rules of %s: %w", b, err)
		}
		there, err := fw.list()
		fw.close()
		if err != nil {
			return nil, err
		}
		for _, i := range there {
			rec, found, err := readRecord(i.name)
			if err != nil {
				return nil, err
			}
			if found && rec.Mode == Resident && rec.PID != 0 && processStarted(rec.PID) == rec.Started {
				i.pid = rec.PID
			}
			out = append(out, i)
		}
	}
	return out, nil
}

// processStarted is when a process began, in the kernel's ticks; 0 without one.
func processStarted(pid int) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// proc_pid_stat(5): the name, field 2, may hold anything but ends with the last
	// parenthesis; starttime is field 22.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 20 {
		return 0
	}
	n, _ := strconv.ParseUint(f[19], 10, 64)
	return n
}
