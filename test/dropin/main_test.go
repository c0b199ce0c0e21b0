// Package dropin runs Envoy and Weir with the same command lines and the same
// bootstrap, and holds what their command lines and admin interfaces say to each
// other: exit codes, status, headers, keys and types of JSON, lines of text.
//
// testdata/recorded holds what was seen: lines of both, and those of one, "-"
// Envoy's and "+" Weir's. differences.yaml gives the reason of every such line; a
// line without a reason fails the test, and so does a reason without a line.
// Without Envoy, Weir is held to the recording. testdata/dashboards.txt has what
// dashboards for Envoy ask for; Weir's statistics answer.
//
//	go test ./test/dropin -args -record     record both (needs Envoy 1.40)
//	go test ./test/dropin -args -rewrite    record Weir's side again
package dropin

import (
	"flag"
	"maps"
	"testing"

	"go.uber.org/goleak"
)

// version is of the Envoy that is recorded.
const version = "1.40"

var (
	record  = flag.Bool("record", false, "run Envoy and Weir, and record both")
	rewrite = flag.Bool("rewrite", false, "run Weir, and record it beside what is recorded of Envoy")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A seen is what a probe saw: sorted lines, each once.
type seen []string

// compare runs probes against both programs, or one against the recording, and
// holds them to differences.yaml.
func compare(t *testing.T, file string, run func(t *testing.T, bin string, weir bool) (ids []string, all map[string]seen)) {
	t.Helper()
	old := readRecorded(t, file)
	theirs := map[string]seen{}
	if *record {
		bin, err := envoy()
		if err != nil {
			t.Fatal(err)
		}
		_, theirs = run(t, bin, false)
	} else {
		for id, r := range old {
			theirs[id] = r.envoy()
		}
	}
	ids, ours := run(t, buildWeir(t), true)
	if t.Failed() {
		return
	}
	fresh := map[string]recorded{}
	for _, id := range ids {
		fresh[id] = merge(theirs[id], ours[id])
	}
	if *record || *rewrite {
		writeRecorded(t, file, ids, fresh)
		old = maps.Clone(fresh)
	}
	for _, id := range ids {
		if diff := difference(old[id].weir(), ours[id]); diff != "" {
			t.Errorf("%s: Weir does otherwise than recorded (- recorded, + now):\n%s", id, diff)
		}
		delete(old, id)
	}
	for id := range old {
		t.Errorf("%s is recorded, and no probe", id)
	}
	judge(t, file, fresh)
}
