package intercept

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
)

// Programs are programs of this machine, known by any of what is listed.
type Programs struct {
	// UIDs and GIDs are of the process that made the socket.
	UIDs []IDRange `json:"uids,omitempty"`
	GIDs []IDRange `json:"gids,omitempty"`
	// Cgroups are paths below the root of cgroup v2, such as
	// "system.slice/app.service", each with everything below it. The kernel knows a
	// cgroup by its number: one that is made anew is another one, which Verify finds.
	Cgroups []string `json:"cgroups,omitempty"`
	// ClassIDs are classes of the net_cls controller of cgroup v1.
	ClassIDs []uint32 `json:"class_ids,omitempty"`
}

// IsZero tells whether no program is named.
func (g Programs) IsZero() bool {
	return len(g.UIDs) == 0 && len(g.GIDs) == 0 && len(g.Cgroups) == 0 && len(g.ClassIDs) == 0
}

// IDRange is an inclusive range of user or group IDs.
type IDRange struct {
	From uint32 `json:"from"`
	To   uint32 `json:"to"`
}

// String is the range as ParseIDs reads it.
func (r IDRange) String() string {
	if r.From == r.To {
		return strconv.FormatUint(uint64(r.From), 10)
	}
	return fmt.Sprintf("%d-%d", r.From, r.To)
}

// MarkMatch is a value of the bits of the packet mark that Mask covers.
type MarkMatch struct {
	Value uint32 `json:"value"`
	Mask  uint32 `json:"mask"`
}

// String is value/mask.
func (m MarkMatch) String() string { return fmt.Sprintf("%#x/%#x", m.Value, m.Mask) }

// ParseIDs reads "1000,2000-2999,www-data" as ranges; lookup finds the number of a
// name.
func ParseIDs(s string, lookup func(name string) (uint32, error)) ([]IDRange, error) {
	var out []IDRange
	for part := range fields(s) {
		if part[0] < '0' || part[0] > '9' {
			id, err := lookup(part)
			if err != nil {
				return nil, err
			}
			out = append(out, IDRange{id, id})
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.ParseUint(from, 10, 32)
		b, err2 := strconv.ParseUint(to, 10, 32)
		if err1 != nil || err2 != nil || b < a {
			return nil, fmt.Errorf("%q: want a number, two with a dash between, or a name", part)
		}
		out = append(out, IDRange{uint32(a), uint32(b)})
	}
	return out, nil
}

// ParseCgroup adds to g a path of cgroup v2, or a class of net_cls, written as
// tc(8) does: two hexadecimal numbers with a colon between.
func (g *Programs) ParseCgroup(s string) error {
	major, minor, isClass := strings.Cut(s, ":")
	if !isClass {
		g.Cgroups = append(g.Cgroups, strings.Trim(s, "/"))
		return nil
	}
	a, err1 := strconv.ParseUint(major, 16, 16)
	b, err2 := strconv.ParseUint(minor, 16, 16)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("%q: want a path below the root of cgroup v2, or a class of net_cls as 10:1", s)
	}
	g.ClassIDs = append(g.ClassIDs, uint32(a)<<16|uint32(b))
	return nil
}

// ParseMarks reads "0x1/0xff,7" as marks; without a mask all bits count.
func ParseMarks(s string) ([]MarkMatch, error) {
	var out []MarkMatch
	for part := range fields(s) {
		value, mask, masked := strings.Cut(part, "/")
		if !masked {
			mask = "0xffffffff"
		}
		v, err1 := strconv.ParseUint(value, 0, 32)
		m, err2 := strconv.ParseUint(mask, 0, 32)
		if err := errors.Join(err1, err2); err != nil || v&^m != 0 || m == 0 {
			return nil, fmt.Errorf("mark %q: want a number, or value/mask with no bit of the value outside the mask", part)
		}
		out = append(out, MarkMatch{uint32(v), uint32(m)})
	}
	return out, nil
}

// maxCgroup bounds a path of cgroups by what nft(8) takes.
const maxCgroup = 1024

// validatePrograms checks programs, marks and what they need.
func (p Plan) validatePrograms(bad func(string, string, ...any)) {
	for _, x := range []struct {
		path string
		g    Programs
	}{{"include_programs", p.IncludePrograms}, {"exclude_programs", p.ExcludePrograms}} {
		if !x.g.IsZero() && !p.Local {
			bad(x.path, "needs local: the programs of forwarded connections are not on this machine")
		}
		for i, r := range x.g.UIDs {
			if r.To < r.From {
				bad(fmt.Sprintf("%s.uids[%d]", x.path, i), "%d-%d is not a range", r.From, r.To)
			}
		}
		for i, r := range x.g.GIDs {
			if r.To < r.From {
				bad(fmt.Sprintf("%s.gids[%d]", x.path, i), "%d-%d is not a range", r.From, r.To)
			}
		}
		for i, c := range x.g.Cgroups {
			if c == "" || len(c) > maxCgroup || path.Clean("/"+c) != "/"+c || strings.ContainsFunc(c, func(r rune) bool { return r == '"' || unicode.IsControl(r) }) {
				bad(fmt.Sprintf("%s.cgroups[%d]", x.path, i), "%q: want a path below the root of cgroup v2", c)
			}
		}
	}
	for _, x := range []struct {
		path  string
		marks []MarkMatch
	}{{"include_marks", p.IncludeMarks}, {"exclude_marks", p.ExcludeMarks}} {
		for i, m := range x.marks {
			at := fmt.Sprintf("%s[%d]", x.path, i)
			switch {
			case m.Mask == 0 || m.Value&^m.Mask != 0:
				bad(at, "%s: the mask is empty or does not cover the value", m)
			case m.Mask&p.MarkMask != 0 && m.Value&p.MarkMask != 0:
				bad(at, "%s has bits of mark_mask %#x, which are set by these rules", m, p.MarkMask)
			}
		}
	}
}
