// Package parity sends the same bytes through Envoy and through Weir, configured
// by the same bootstrap, and holds the two to each other.
//
// testdata/cases holds what is sent (see kase), and so do the scripts of
// test/conformance. testdata/recorded holds what came of it: lines of both, and
// those of one, "-" Envoy's and "+" Weir's. differences.yaml gives the reason of
// every such line; a line without a reason fails the test, and so does a reason
// without a line. Without Envoy, Weir is held to the recording.
//
//	go test ./test/parity -args -record     record both (needs Envoy 1.40)
//	go test ./test/parity -args -rewrite    record Weir's side again
package parity

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// version is of the Envoy that is recorded.
const version = "1.40"

var (
	record  = flag.Bool("record", false, "run Envoy and Weir, and record both")
	rewrite = flag.Bool("rewrite", false, "run Weir, and record it beside what is recorded of Envoy")
	only    = flag.String("only", "", "with neither: cases whose name contains this; prints what Weir does")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// atOnce is how many cases are played at a time.
const atOnce = 12

func TestParity(t *testing.T) {
	cases := loadCases(t, "testdata/cases/*.txt", "")
	cases = append(cases, loadCases(t, "../conformance/testdata/h1/refused_*.txt", "conformance-")...)
	cases = append(cases, loadCases(t, "../conformance/testdata/h1/responses.txt", "conformance-")...)
	if *only != "" {
		cases = slices.DeleteFunc(cases, func(k *kase) bool { return !strings.Contains(k.id(), *only) })
	}
	seen := map[string]bool{}
	for _, k := range cases {
		if seen[k.id()] {
			t.Fatalf("two cases are called %s", k.id())
		}
		seen[k.id()] = true
	}
	var theirs map[string][]string
	old := readRecorded(t)
	if *record {
		bin, err := envoy()
		if err != nil {
			t.Fatal(err)
		}
		theirs = runAll(t, cases, bin, "--concurrency", "1", "--base-id-path", filepath.Join(t.TempDir(), "base"), "--use-dynamic-base-id")
	} else {
		theirs = map[string][]string{}
		for id, r := range old {
			theirs[id] = r.envoy()
		}
	}
	asked := slices.DeleteFunc(slices.Clone(cases), func(k *kase) bool { return k.later != "" })
	ours := runAll(t, asked, buildWeir(t), "--concurrency", "1", "--drain-time-s", "1")
	if t.Failed() {
		return
	}
	fresh := map[string]recorded{}
	for _, k := range cases {
		fresh[k.id()] = diff(theirs[k.id()], ours[k.id()])
	}
	if *record || *rewrite {
		writeRecorded(t, cases, fresh)
		old = fresh
	}
	for _, k := range cases {
		t.Run(k.id(), func(t *testing.T) {
			r, known := old[k.id()]
			if !known {
				t.Fatal("not recorded: run make parity where Envoy is installed")
			}
			if k.later != "" {
				t.Skip(k.later)
			}
			if d := cmp.Diff(r.weir(), ours[k.id()]); d != "" {
				t.Errorf("Weir does otherwise than recorded (-recorded +now):\n%s", d)
			}
		})
	}
	if *only == "" {
		for id := range old {
			if !seen[id] {
				t.Errorf("%s is recorded, and no case", id)
			}
		}
		judge(t, fresh, func(id string) bool {
			return slices.ContainsFunc(cases, func(k *kase) bool { return k.id() == id && k.later != "" })
		})
	}
}

// runAll plays all cases through one proxy, and gives what was seen by case.
func runAll(t *testing.T, cases []*kase, bin string, args ...string) map[string][]string {
	t.Helper()
	dir, err := os.MkdirTemp("", "parity-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	plays := make([]*play, len(cases))
	for i, k := range cases {
		plays[i] = newPlay(t, k, dir, i)
	}
	admin := filepath.Join(dir, "admin")
	text, err := bootstrap(plays, admin)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "bootstrap.json")
	if err := os.WriteFile(config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	proxy := start(t, bin, config, admin, args...)
	ready := time.Since(began)
	var wg sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for _, p := range plays {
		turns <- struct{}{}
		wg.Go(func() {
			at := time.Now()
			p.run()
			if d := time.Since(at); d > patience/2 {
				t.Logf("%s took %v", p.k.id(), d)
			}
			<-turns
		})
	}
	wg.Wait()
	played := time.Since(began)
	proxy.stop(t)
	t.Logf("%s: ready after %v, %d cases in %v, ended after %v", filepath.Base(bin), ready, len(cases), played, time.Since(began))
	out := map[string][]string{}
	for _, p := range plays {
		p.end()
		lines, err := p.transcript()
		for _, e := range p.errs {
			err = errors.Join(err, errors.New(e))
		}
		if err != nil {
			t.Errorf("%s: %v", p.k.id(), err)
		}
		out[p.k.id()] = lines
	}
	return out
}
