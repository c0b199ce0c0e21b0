package doctor

import (
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	table := []Check{{Code: "A"}, {Code: "B", Needs: []string{"A"}}, {Code: "C", Needs: []string{"B", "A"}}, {Code: "D"}}
	// A finding is written CODE, or CODE:OBJECT, with ~ for a note and ! for a warning;
	// the result has what follows in brackets.
	f := func(in, want string) {
		t.Helper()
		var all []Finding
		for _, s := range strings.Fields(in) {
			x := Finding{Level: Problem}
			if c, ok := strings.CutPrefix(s, "~"); ok {
				x.Level, s = Note, c
			}
			if c, ok := strings.CutPrefix(s, "!"); ok {
				x.Level, s = Warning, c
			}
			x.Code, x.Object, _ = strings.Cut(s, ":")
			x.Object = strings.ReplaceAll(x.Object, "_", " ")
			all = append(all, x)
		}
		var got []string
		for _, x := range fold(all, table) {
			s := x.Code
			for _, y := range x.Follows {
				s += "(" + y.Code + ")"
			}
			got = append(got, s)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", in, s, want)
		}
	}
	f("", "")
	f("A B C", "A(B)(C)")
	f("B C", "B(C)")
	f("C", "C")
	f("A C D", "A(C) D")
	f("~A B", "B A")                                            // a note explains nothing
	f("!A B", "A(B)")                                           // a warning does
	f("!A D", "D A")                                            // worst first
	f("A:cluster_x B:cluster_y", "A B")                         // of another thing
	f("A:cluster_x B:cluster_x", "A(B)")                        // of the same
	f("A:cluster_x B:interface_lo", "A(B)")                     // of another kind
	f("A:cluster_x A:cluster_y B:cluster_y", "A A(B)")          // the right one of two
	f("A:cluster_x B:cluster_y C:cluster_y", "A B(C)")          // step by step
	f("A B:cluster_x B:cluster_y C:cluster_y", "A(B)(B)(C)")    // two steps
	f("D A", "D A")                                             // in the order of the table that they came in
	f("B:rules_main B:rules_other A:feature_x", "A(B)(B)")      // one explains many
	f("!B:rules_main !B:rules_other ~A:feature_x D", "D B B A") // and ranks by what is shown
}
