package intercept

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// iptWall is the backend of iptables, of either kind.
type iptWall struct {
	tool iptTool
	ns   *netnsFile
	nf   *nfConn // iptables-nft's tables are seen, and tidied up, by netlink
}

func dialIPTables(b Backend) (*iptWall, error) {
	tool, err := findTool(b)
	if err != nil {
		return nil, err
	}
	w := &iptWall{tool: tool}
	if w.nf, err = dialNF(); err != nil {
		return nil, err
	}
	if w.ns, err = openNetns(); err != nil {
		_ = w.nf.close()
		return nil, err
	}
	return w, nil
}

// close implements firewall.
func (w *iptWall) close() {
	_ = w.nf.close()
	w.ns.close()
}

// observed are the tables of one family in which there may be rules of ours, by
// iptables-save.
func (w *iptWall) observed(v6 bool) (out []*iptTable, err error) {
	err = w.ns.do(func() error {
		names, err := iptPlaces(w.nf, w.tool.legacy, v6)
		for _, name := range names {
			text, err := w.tool.run("", v6, "save", "-c", "-t", name)
			if err != nil {
				return err
			}
			out = append(out, parseSave(text)...)
		}
		return err
	})
	return out, err
}

// iptTables are the tables in which there may be rules of ours.
func iptTables() []string { return []string{"mangle", "nat", "filter"} }

// iptPlaces are the tables of one kind and family in which there may be rules of
// ours, found without running a program.
func iptPlaces(nf *nfConn, legacy, v6 bool) (out []string, err error) {
	if !legacy {
		chains, err := nf.otherChains(v6)
		for _, c := range chains {
			if slices.Contains(iptTables(), c.table) && strings.HasPrefix(c.name, tablePrefix) && !slices.Contains(out, c.table) {
				out = append(out, c.table)
			}
		}
		return out, err
	}
	name := "/proc/thread-self/net/ip_tables_names"
	if v6 {
		name = "/proc/thread-self/net/ip6_tables_names"
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list tables of iptables-legacy: %w", err)
	}
	for t := range strings.FieldsSeq(string(b)) {
		if slices.Contains(iptTables(), t) {
			out = append(out, t)
		}
	}
	return out, nil
}

// list implements firewall.
func (w *iptWall) list() ([]installed, error) {
	var out []installed
	for _, v6 := range []bool{false, true} {
		all, err := w.observed(v6)
		if err != nil {
			return nil, err
		}
		for _, i := range planNames(all) {
			if !slices.ContainsFunc(out, func(o installed) bool { return o.name == i.name }) {
				i.backend = w.tool.backend()
				out = append(out, i)
			}
		}
	}
	return out, nil
}

// replace implements firewall, in one transaction for each family; when that of
// IPv6 fails, that of IPv4 is undone.
func (w *iptWall) replace(p Plan, _ Mode, _ bool) error {
	var undo []func() error
	for _, v6 := range []bool{false, true} {
		all, err := w.observed(v6)
		if err == nil {
			was := ours(all, p.Name)
			var want []*iptTable
			if p.takes(v6) {
				want = compileIPTables(p, v6)
			}
			if len(was) == 0 && len(want) == 0 {
				continue
			}
			err = w.restore(v6, restoreText(was, want))
			undo = append(undo, func() error { return w.restore(v6, restoreText(want, was)) })
		}
		if err != nil {
			for _, f := range slices.Backward(undo[:max(0, len(undo)-1)]) {
				err = errors.Join(err, f())
			}
			return err
		}
	}
	return nil
}

// takes tells whether the plan takes connections of an IP version.
func (p Plan) takes(v6 bool) bool {
	if v6 {
		return p.Families&IPv6 != 0
	}
	return p.Families&IPv4 != 0
}

func (w *iptWall) restore(v6 bool, text string) error {
	return w.ns.do(func() error {
		_, err := w.tool.run(text, v6, "restore", "--noflush", "-w", lockWait)
		return err
	})
}

// remove implements firewall.
func (w *iptWall) remove(name string) error {
	var errs []error
	for _, v6 := range []bool{false, true} {
		all, err := w.observed(v6)
		errs = append(errs, err)
		if was := ours(all, name); len(was) > 0 {
			errs = append(errs, w.restore(v6, restoreText(was, nil)))
		}
	}
	return errors.Join(errs...)
}

// shared implements firewall: the tables and chains of iptables-nft.
func (w *iptWall) shared() (out []string, err error) {
	if w.tool.legacy {
		return nil, nil
	}
	for _, v6 := range []bool{false, true} {
		chains, err := w.nf.otherChains(v6)
		if err != nil {
			return nil, err
		}
		for _, c := range chains {
			if c.base {
				out = append(out, sharedName(v6, c.table, c.name))
			}
		}
		tables, err := w.nf.otherTables(v6)
		if err != nil {
			return nil, err
		}
		for _, t := range tables {
			out = append(out, sharedName(v6, t, ""))
		}
	}
	return out, nil
}

func sharedName(v6 bool, table, chain string) string {
	if v6 {
		return strings.TrimSpace("ip6 " + table + " " + chain)
	}
	return strings.TrimSpace("ip " + table + " " + chain)
}

// tidy implements firewall: the chains that iptables-nft made for us, and then its
// tables, if nobody has put anything into them. Those of iptables-legacy stay with
// the kernel, empty.
func (w *iptWall) tidy(before []string) error {
	if w.tool.legacy {
		return nil
	}
	var errs []error
	for _, v6 := range []bool{false, true} {
		chains, err := w.nf.otherChains(v6)
		errs = append(errs, err)
		for _, table := range iptTables() {
			for _, c := range chains {
				if c.table == table && c.base && !c.drops && !slices.Contains(before, sharedName(v6, table, c.name)) {
					errs = append(errs, w.nf.dropEmpty(v6, table, c.name))
				}
			}
			if !slices.Contains(before, sharedName(v6, table, "")) {
				errs = append(errs, w.nf.dropEmpty(v6, table, ""))
			}
		}
	}
	return errors.Join(errs...)
}

// counters implements firewall: the sums over both families, under the names that
// chains of nftables have.
func (w *iptWall) counters(name string) ([]RuleStatus, error) {
	var out []RuleStatus
	for _, v6 := range []bool{false, true} {
		all, err := w.observed(v6)
		if err != nil {
			return nil, err
		}
		for _, t := range ours(all, name) {
			for _, c := range t.chains {
				chain := countedChain(strings.TrimPrefix(c.name, iptName(name, "")))
				for _, r := range c.rules {
					if !slices.Contains(countedComments(), r.comment()) || strings.HasPrefix(r.target(), tablePrefix) {
						continue
					}
					i := slices.IndexFunc(out, func(s RuleStatus) bool { return s.Chain == chain && s.Comment == r.comment() })
					if i < 0 {
						i = len(out)
						out = append(out, RuleStatus{Chain: chain, Comment: r.comment()})
					}
					out[i].Packets += r.packets
					out[i].Bytes += r.bytes
				}
			}
		}
	}
	return out, nil
}

// countedChain is the name of a chain in nftables.
func countedChain(end string) string {
	switch end {
	case iptTake:
		return chainTake
	case iptKeep:
		return chainDivert
	case iptMark:
		return chainMark
	case iptRefus:
		return chainRefuse
	case iptFwd, iptFwd + "i", iptFwd + "m", iptFwd + "im":
		return chainForward
	case iptUDP, iptUDP + "p", iptUDP + "m", iptUDP + "pm":
		return chainOutputUDP
	case iptOut, iptOut + "p", iptOut + "m", iptOut + "pm", iptOWant, iptAgain:
		return chainOutput
	}
	return chainCapture
}

// countedComments are those of the rules that nftables counts.
func countedComments() []string {
	return []string{
		commentIntercepted, commentMissed, "of our sockets", "local program", "excluded", "not included", "excluded port", "other port",
		"excluded mark", "other mark", "excluded program", "other program", commentRefused, "other interface",
	}
}
