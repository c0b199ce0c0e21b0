package intercept

import (
	"bytes"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// sameExprs reports whether the kernel's expressions are the planned ones: same
// names in the same order, and every planned attribute there with the same value.
// The kernel adds attributes that have their default; counters run; set numbers
// exist only within a transaction.
func sameExprs(planned, observed []byte) bool {
	pn, pd, err1 := splitExprs(planned)
	on, od, err2 := splitExprs(observed)
	if err1 != nil || err2 != nil || !slices.Equal(pn, on) {
		return false
	}
	for i, name := range pn {
		switch name {
		case "counter":
		case "lookup":
			if !sameAttrs(pd[i], od[i], unix.NFTA_LOOKUP_SET_ID) {
				return false
			}
		default:
			if !sameAttrs(pd[i], od[i], 0) {
				return false
			}
		}
	}
	return true
}

// sameAttrs compares attributes as sameExprs does, but for the one to ignore.
func sameAttrs(planned, observed []byte, ignore uint16) bool {
	want, err1 := netlink.UnmarshalAttributes(planned)
	got, err2 := netlink.UnmarshalAttributes(observed)
	if err1 != nil || err2 != nil {
		return false
	}
	const typeMask = ^uint16(unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
	for _, w := range want {
		if w.Type&typeMask == ignore {
			continue
		}
		i := slices.IndexFunc(got, func(g netlink.Attribute) bool { return g.Type&typeMask == w.Type&typeMask })
		switch {
		case i < 0:
			if len(bytes.Trim(w.Data, "\x00")) > 0 { // a zero may be left out
				return false
			}
		case w.Type&unix.NLA_F_NESTED != 0:
			if !sameAttrs(w.Data, got[i].Data, 0) {
				return false
			}
		case !bytes.Equal(w.Data, got[i].Data):
			return false
		}
	}
	return true
}
