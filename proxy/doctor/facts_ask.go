package doctor

import (
	"slices"
	"strconv"
	"strings"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/intercept/survey"
)

// active are the interceptions whose table is there and whose plan is known.
func (f *Facts) active() (out []*Rules) {
	for i := range f.Rules {
		if r := &f.Rules[i]; r.Status.Active && r.Status.Plan != nil {
			out = append(out, r)
		}
	}
	return out
}

// wanted are the interceptions that should be in force: with a plan, and a table or
// somebody who meant it to stay.
func (f *Facts) wanted() (out []*Rules) {
	for i := range f.Rules {
		if r := &f.Rules[i]; r.Status.Plan != nil && !r.left() {
			out = append(out, r)
		}
	}
	return out
}

// left tells whether the rules are what a resident process left when it died.
func (r *Rules) left() bool {
	return !r.Status.Active && !r.OwnerAlive && r.Status.Recorded != intercept.Installed.String()
}

// number gives a setting that is a number; def where it is not there.
func (f *Facts) number(key string, def int) int {
	if n, err := strconv.Atoi(f.Settings[key]); err == nil {
		return n
	}
	return def
}

// pair gives a setting that is two numbers.
func (f *Facts) pair(key string) (a, b int, ok bool) {
	x, y, ok := strings.Cut(f.Settings[key], " ")
	if !ok {
		return 0, 0, false
	}
	a, err1 := strconv.Atoi(x)
	b, err2 := strconv.Atoi(y)
	return a, b, err1 == nil && err2 == nil
}

// listens tells whether anybody listens on the port.
func (f *Facts) listens(port uint16) bool {
	return slices.ContainsFunc(f.Sockets, func(s survey.Socket) bool { return s.State == survey.Listen && s.Local.Port() == port })
}

// link finds an interface by name; nil when there is none.
func (f *Facts) link(name string) *Link {
	for i := range f.Links {
		if f.Links[i].Name == name {
			return &f.Links[i]
		}
	}
	return nil
}

// families lists the families of a plan.
func families(p *intercept.Plan) (v6 []bool) {
	fs := p.WithDefaults().Families
	if fs&intercept.IPv4 != 0 {
		v6 = append(v6, false)
	}
	if fs&intercept.IPv6 != 0 {
		v6 = append(v6, true)
	}
	return v6
}

func familyName(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}
