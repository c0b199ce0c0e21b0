package intercept

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables/expr"
)

// What a connection must or must not come from: marks of packets, programs of
// this machine.

// fragments match the programs, one each.
func (pr *program) fragments(g Programs) (out []fragment) {
	for _, r := range g.UIDs {
		out = append(out, matchID("skuid", expr.MetaKeySKUID, r))
	}
	for _, r := range g.GIDs {
		out = append(out, matchID("skgid", expr.MetaKeySKGID, r))
	}
	for _, c := range g.Cgroups {
		out = append(out, pr.matchCgroup(c))
	}
	for _, id := range g.ClassIDs {
		out = append(out, fragment{fmt.Sprintf("meta cgroup %d", id), []expr.Any{
			&expr.Meta{Key: expr.MetaKeyCGROUP, Register: regA},
			&expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: hostU32(id)},
		}})
	}
	return out
}

func markFragments(marks []MarkMatch) (out []fragment) {
	for _, m := range marks {
		out = append(out, matchMark(m.Value, m.Mask))
	}
	return out
}

// matchID matches the user or group of the socket.
func matchID(word string, key expr.MetaKey, r IDRange) fragment {
	load := &expr.Meta{Key: key, Register: regA}
	if r.From == r.To {
		return fragment{fmt.Sprintf("meta %s %d", word, r.From), []expr.Any{load, &expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: hostU32(r.From)}}}
	}
	bytes := func(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
	return fragment{fmt.Sprintf("meta %s %d-%d", word, r.From, r.To), []expr.Any{
		load,
		// Numbers of this machine's byte order are compared as bytes.
		&expr.Byteorder{SourceRegister: regA, DestRegister: regA, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpGte, Register: regA, Data: bytes(r.From)},
		&expr.Cmp{Op: expr.CmpOpLte, Register: regA, Data: bytes(r.To)},
	}}
}

// A located is a place in a rule for the number of a cgroup.
type located struct {
	path string
	cmp  *expr.Cmp
}

// matchCgroup matches sockets of a cgroup and of those below it. The kernel knows
// it by its number, which locate fills in.
func (pr *program) matchCgroup(path string) fragment {
	level := strings.Count(path, "/") + 1
	cmp := &expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: make([]byte, 8)}
	pr.cgroups = append(pr.cgroups, located{path, cmp})
	return fragment{fmt.Sprintf(`socket cgroupv2 level %d "%s"`, level, path), []expr.Any{
		&expr.Socket{Key: expr.SocketKeyCgroupv2, Level: uint32(level), Register: regA}, cmp,
	}}
}

// locate looks up the cgroups of the program; those that are not there get the
// number 0, which none has.
func (pr *program) locate() error {
	if len(pr.cgroups) == 0 {
		return nil
	}
	root, err := cgroupRoot()
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range pr.cgroups {
		id, err := cgroupID(root, c.path)
		errs = append(errs, err)
		c.cmp.Data = binary.NativeEndian.AppendUint64(nil, id)
	}
	return errors.Join(errs...)
}

// narrow adds the rules of c that let go what has the wrong mark, or, among
// packets of this machine, comes from the wrong program. It returns the chain in
// which the others go on: c, or one that it adds to the program.
func (pr *program) narrow(c *chain, p Plan, local bool) *chain {
	base := c.name
	for _, f := range markFragments(p.ExcludeMarks) {
		c.add("excluded mark", f, count(), leave())
	}
	if local {
		for _, f := range pr.fragments(p.ExcludePrograms) {
			c.add("excluded program", f, count(), leave())
		}
		c = pr.only(c, base+"_programs", "program", pr.fragments(p.IncludePrograms))
	}
	return pr.only(c, base+"_marked", "mark", markFragments(p.IncludeMarks))
}

// only goes on in a chain of that name when one of the fragments matches, and
// lets go what none does; without fragments it goes on in c.
func (pr *program) only(c *chain, name, what string, fs []fragment) *chain {
	if len(fs) == 0 {
		return c
	}
	for _, f := range fs {
		c.add("included "+what, f, goTo(name))
	}
	c.add("other "+what, count(), leave())
	next := &chain{name: name}
	pr.chains = append(pr.chains, next)
	return next
}
