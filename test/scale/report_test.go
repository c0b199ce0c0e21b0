package scale

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// figures are what is measured of one proxy in one setting, in the order they were taken.
type figures struct{ rows []figure }

type figure struct {
	name, unit string
	value      float64
}

func (f *figures) add(name, unit string, v float64) { f.rows = append(f.rows, figure{name, unit, v}) }

func (f *figures) ms(name string, d time.Duration) { f.add(name, "ms", float64(d)/1e6) }

func (f *figures) get(name string) float64 {
	for _, r := range f.rows {
		if r.name == name {
			return r.value
		}
	}
	return 0
}

// table prints the figures of all proxies side by side, and each one's ratio to Envoy's.
func table(w io.Writer, title string, peers []string, by map[string]*figures) {
	fmt.Fprintf(w, "\n%s\n", title)
	fmt.Fprintf(w, "  %-44s", "")
	for _, p := range peers {
		fmt.Fprintf(w, "%12s", p)
	}
	if len(peers) == 2 {
		fmt.Fprintf(w, "%12s", strings.Join(peers, "/"))
	}
	fmt.Fprintln(w)
	for i, r := range by[peers[0]].rows {
		fmt.Fprintf(w, "  %-44s", r.name+", "+r.unit)
		for _, p := range peers {
			fmt.Fprintf(w, "%12s", number(by[p].rows[i].value))
		}
		if len(peers) == 2 && by[peers[1]].rows[i].value != 0 {
			fmt.Fprintf(w, "%12.2f", r.value/by[peers[1]].rows[i].value)
		}
		fmt.Fprintln(w)
	}
}

// number prints three digits that say something.
func number(v float64) string {
	switch {
	case v >= 100 || v == 0:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
