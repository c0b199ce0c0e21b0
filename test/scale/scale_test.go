// Package scale measures how a proxy bears large configurations: the real binary of Weir, and Envoy's beside it where it is
// installed, driven by go-control-plane over ADS (state of the world and delta) and by files.
//
//	go test ./test/scale                                   # a small world: the bench itself works, nothing is said of speed
//	go test -count=1 -v -run TestScale ./test/scale -args -n 10000
//	make scale
//
// Control plane, origins and clients are in the test's process and share the machine's processors with the proxy. The figures of a
// change are from before the control plane is told (or the file moved) to the first answer that shows it, so go-control-plane's own
// time is in them, the same for both proxies.
package scale

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"go.uber.org/goleak"
)

var (
	many     = flag.Int("n", 0, "clusters, routes and endpoints each; 0 is a small world that only shows that the bench works")
	settings = flag.String("settings", "delta/prefix,delta/hosts,delta/split,sotw/prefix,file/prefix,endpoints", "what to run")
	peers    = flag.String("peers", "weir,envoy", "what to run it with, if it is here")
	profiles = flag.String("profiles", "", "folder for pprof's profiles of Weir")
	rounds   = flag.Int("rounds", 5, "changes of each kind; the median is told")
)

func TestMain(m *testing.M) {
	flag.Parse()
	debug.SetGCPercent(400) // the control plane's collections are not what is measured
	goleak.VerifyTestMain(m)
}

// TestScale runs every setting with every proxy, one after the other.
func TestScale(t *testing.T) {
	n, with := *many, strings.Split(*peers, ",")
	if n == 0 {
		if testing.Short() {
			t.Skip("starts processes")
		}
		n, with, *rounds = 20, []string{"weir"}, 1
	}
	bins := binaries(t)
	with = slices.DeleteFunc(with, func(p string) bool { return bins[p] == "" })
	empty := map[string]float64{}
	for _, s := range strings.Split(*settings, ",") {
		by := map[string]*figures{}
		for _, p := range with {
			t.Run(s+"/"+p, func(t *testing.T) {
				by[p] = &figures{}
				b := &bench{name: p, bin: bins[p], f: by[p], empty: empty}
				if s == "endpoints" {
					b.endpoints(t, 10*n)
					return
				}
				api, sh, _ := strings.Cut(s, "/")
				b.run(t, n, api, shape(sh))
			})
		}
		if *many > 0 && !t.Failed() {
			table(os.Stdout, fmt.Sprintf("%s, n = %d", s, n), with, by)
		}
	}
}

// A bench is one proxy in one setting.
type bench struct {
	name, bin string
	f         *figures
	empty     map[string]float64 // resident memory of the proxies with next to nothing to do, in MiB

	p     *process
	w     *world
	plane *plane
	c     client
	admin int
}

// limit is how long anything is waited for.
const limit = time.Minute

func (b *bench) run(t *testing.T, n int, api string, sh shape) {
	if _, ok := b.empty[b.name]; !ok {
		e := &bench{name: b.name, bin: b.bin, f: &figures{}}
		t.Run("empty", func(t *testing.T) { e.start(t, 2, api, prefixes) })
		b.empty[b.name] = e.f.get("RSS at the first answer")
	}
	b.start(t, n, api, sh)
	b.f.add("RSS above an empty one", "MiB", b.f.get("RSS at the first answer")-b.empty[b.name])
	tg := [...]target{b.w.target(0), b.w.target(b.w.last()), b.w.target(b.w.fixed())}
	for _, x := range []struct {
		name string
		at   target
		flip *bool
		push func() func()
	}{
		{"one route changed", tg[1], &b.w.route, func() func() { return b.table(t) }},
		{"one endpoint changed", tg[1], &b.w.endpoint, func() func() { return b.assignment(t) }},
		{"one cluster changed", tg[2], &b.w.cluster, func() func() { return b.cluster(t) }},
	} {
		var took []time.Duration
		b.profile(t, x.name, 1)
		cpu := b.p.cpu()
		for range *rounds {
			for _, word := range []string{"two", "one"} {
				*x.flip = word == "two"
				push := x.push()
				at := time.Now()
				push()
				took = append(took, b.c.until(t, b.p, at, x.at, word, limit))
			}
		}
		slices.Sort(took)
		b.f.ms(x.name, took[len(took)/2])
		b.f.ms("  CPU of it", (b.p.cpu()-cpu)/time.Duration(len(took)))
	}
	if *many > 0 {
		b.f.add("CPU a request, first route", "µs", float64(cost(t, b.p, tg[0], 1500*time.Millisecond))/1e3)
		b.f.add("CPU a request, last route", "µs", float64(cost(t, b.p, tg[1], 1500*time.Millisecond))/1e3)
	}
	b.everything(t)
}

// start brings a world up and waits for the last route's first answer.
func (b *bench) start(t *testing.T, n int, api string, sh shape) {
	b.w = &world{n: n, shape: sh, origins: [2]int{origin(t, "one"), origin(t, "two")}}
	for range map[shape]int{prefixes: 1, hosts: 1, split: 10}[sh] {
		port := freePort(t)
		for slices.Contains(b.w.ports, port) {
			port = freePort(t)
		}
		b.w.ports = append(b.w.ports, port)
	}
	t.Cleanup(b.c.close)
	boot := filepath.Join(t.TempDir(), "boot.yaml")
	if api == "file" {
		b.w.file = t.TempDir()
		b.files(t)()
	} else {
		b.plane = newPlane(t)
		b.plane.pushAll(t, b.w)
	}
	if err := os.WriteFile(boot, []byte(b.bootstrap(t, api)), 0o600); err != nil {
		t.Fatal(err)
	}
	b.p = start(t, b.name, b.bin, boot)
	b.profile(t, "start", 1)
	b.f.ms("start to the first answer", b.c.until(t, b.p, b.p.at, b.w.target(b.w.last()), "one", limit))
	b.f.ms("  CPU of it", b.p.cpu())
	b.f.add("RSS at the first answer", "MiB", b.p.memory("VmRSS"))
	b.heap(t)
	b.c.until(t, b.p, time.Now(), b.w.target(0), "one", limit)
	b.c.until(t, b.p, time.Now(), b.w.target(b.w.fixed()), "one", limit)
}

// The changes: each gives what makes it visible, so that preparing it is not measured.

func (b *bench) table(t *testing.T) func() {
	if b.plane == nil {
		b.w.write(t, "rds.json", 2, b.w.tables())
		return b.w.move
	}
	ms := b.w.tables()
	return func() { b.plane.push(t, resource.RouteType, ms[len(ms)-1]) }
}

func (b *bench) assignment(t *testing.T) func() {
	if b.plane == nil {
		return b.cluster(t) // it is in the cluster
	}
	ms := b.w.assignments()
	return func() { b.plane.push(t, resource.EndpointType, ms[len(ms)-1]) }
}

func (b *bench) cluster(t *testing.T) func() {
	if b.plane == nil {
		b.w.write(t, "cds.json", 2, b.w.clusters())
		return b.w.move
	}
	m := b.w.one(b.w.fixed())
	return func() { b.plane.push(t, resource.ClusterType, m) }
}

func (b *bench) files(t *testing.T) func() {
	b.w.write(t, "cds.json", 1, b.w.clusters())
	b.w.write(t, "rds.json", 1, b.w.tables())
	b.w.write(t, "lds.json", 1, b.w.listeners())
	return b.w.move
}

// everything pushes a new version of all there is while requests come at a steady pace.
func (b *bench) everything(t *testing.T) {
	var tgs []target
	for i := range 16 {
		tgs = append(tgs, b.w.target(i*(b.w.n-1)/16))
	}
	l := newPace(tgs, 500)
	defer l.end()
	// The origin asked without a proxy: what the machine, the control plane and the client make of it.
	direct := newPace([]target{{b.w.origins[0], "any.test", "/"}}, 250)
	defer direct.end()
	rest := 3 * time.Second
	if *many == 0 {
		rest = 100 * time.Millisecond
	}
	pass(rest / 3)
	l.cut()
	pass(rest)
	quiet := l.cut()
	b.w.all++
	b.w.route = true
	var push func()
	if b.plane == nil {
		push = b.files(t)
	} else {
		c, e, r := b.w.clusters(), b.w.assignments(), b.w.tables()
		push = func() {
			b.plane.push(t, resource.ClusterType, c...)
			b.plane.push(t, resource.EndpointType, e...)
			b.plane.push(t, resource.RouteType, r...)
		}
	}
	b.trace(t, "everything", 2)
	l.cut()
	direct.cut()
	cpu, at := b.p.cpu(), time.Now()
	push()
	took := b.c.until(t, b.p, at, b.w.target(b.w.last()), "two", limit)
	during, floor := l.cut(), direct.cut()
	pass(rest / 3)
	after := l.cut()
	b.f.ms("everything changed", took)
	b.f.ms("  CPU of it", b.p.cpu()-cpu)
	b.f.ms("p99 before", quiet.p99)
	b.f.ms("slowest before", quiet.max)
	b.f.ms("p99 while everything changes", during.p99)
	b.f.ms("slowest while everything changes", during.max)
	b.f.ms("  p99 without a proxy meanwhile", floor.p99)
	b.f.ms("  slowest without a proxy meanwhile", floor.max)
	b.f.ms("slowest in the second after", after.max)
	b.f.add("RSS at last", "MiB", b.p.memory("VmRSS"))
	b.f.add("RSS at most", "MiB", b.p.memory("VmHWM"))
	if n := quiet.bad + during.bad + after.bad; n > 0 {
		t.Errorf("%s: %d requests were not answered with 200, such as %s\n%s", b.name, n, l.why, b.p.tail())
	}
}

// pass lets time pass in which the proxy is watched.
func pass(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}
