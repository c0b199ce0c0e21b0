package admin

import (
	"bytes"
	"fmt"
	"net/http"
	httppprof "net/http/pprof"
	"net/url"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"strings"
	"sync"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"go.uber.org/zap"
)

// pprofPath is where Go's profiles are, as in every Go program.
const pprofPath = "/debug/pprof/"

// pprof gives the profiles of the Go runtime; `go tool pprof` reads them.
func (s *Server) pprof(p *reply, r *http.Request, _ url.Values) {
	p.w.Header().Set("Cache-Control", "no-cache, max-age=0")
	p.w.Header().Set("Server", serverName)
	switch strings.TrimPrefix(r.URL.Path, pprofPath) {
	case "cmdline":
		httppprof.Cmdline(p.w, r)
	case "profile":
		httppprof.Profile(p.w, r)
	case "symbol":
		httppprof.Symbol(p.w, r)
	case "trace":
		httppprof.Trace(p.w, r)
	default:
		httppprof.Index(p.w, r)
	}
}

// defaultProfile is Envoy's profile_path.
const defaultProfile = "/var/log/envoy/envoy.prof"

// profile is the CPU profile that is being written.
type profile struct {
	mu sync.Mutex
	to *os.File // nil: none
}

// enableUsage is what Envoy answers to a request that does not say which.
const enableUsage = "?enable=<y|n>\n"

// enabled reads enable; ok is false when the answer is given already.
func enabled(p *reply, q url.Values) (on, ok bool) {
	v := q.Get("enable")
	if len(q) != 1 || v != "y" && v != "n" {
		p.text(http.StatusBadRequest, enableUsage)
		return false, false
	}
	return v == "y", true
}

// cpuProfiler starts a profile of the CPU, or ends it and leaves its file.
func (s *Server) cpuProfiler(p *reply, _ *http.Request, q url.Values) {
	on, fine := enabled(p, q)
	if !fine {
		return
	}
	s.profile.mu.Lock()
	defer s.profile.mu.Unlock()
	switch {
	case !on && s.profile.to != nil:
		pprof.StopCPUProfile()
		_ = s.profile.to.Close()
		s.profile.to = nil
	case on && s.profile.to == nil:
		f, err := os.Create(s.o.ProfilePath)
		if err == nil {
			if err = pprof.StartCPUProfile(f); err != nil {
				_ = f.Close()
			}
		}
		if err != nil {
			s.o.Log.Warn("CPU profile", zap.Error(err))
			p.text(http.StatusInternalServerError, "failure to start the profiler")
			return
		}
		s.profile.to = f
	}
	p.text(http.StatusOK, ok)
}

// heapProfiler: the heap is sampled always, see /heap_dump. Envoy's build has none
// either.
func (s *Server) heapProfiler(p *reply, _ *http.Request, _ url.Values) {
	p.text(http.StatusNotImplemented, "The current build does not support heap profiler")
}

// allocProfiler: with n it gives the allocations since the start, which are
// sampled always.
func (s *Server) allocProfiler(p *reply, _ *http.Request, q url.Values) {
	on, fine := enabled(p, q)
	switch {
	case !fine:
	case on:
		p.text(http.StatusOK, ok)
	default:
		s.dump(p, "allocs")
	}
}

// heapDump gives what is on the heap, by where it was allocated.
func (s *Server) heapDump(p *reply, _ *http.Request, _ url.Values) { s.dump(p, "heap") }

// peakHeapDump: no peak is kept.
func (s *Server) peakHeapDump(p *reply, _ *http.Request, _ url.Values) {
	p.text(http.StatusNotImplemented, "The current build does not keep the peak heap, see /heap_dump\n")
}

// dump answers with a profile in pprof's format.
func (s *Server) dump(p *reply, name string) {
	var b bytes.Buffer
	if err := pprof.Lookup(name).WriteTo(&b, 0); err != nil {
		p.text(http.StatusInternalServerError, err.Error()+"\n")
		return
	}
	p.bytes(typeText, b.Bytes())
}

// contention shows how much goroutines waited for locks. A cycle is one of the
// processor's.
func (s *Server) contention(p *reply, _ *http.Request, _ url.Values) {
	if !s.o.MutexTracing {
		p.text(http.StatusOK, "Mutex contention tracing is not enabled. To enable, run Envoy with flag --enable-mutex-tracing.\n")
		return
	}
	records := make([]runtime.BlockProfileRecord, 1000)
	n, fits := runtime.MutexProfile(records)
	for !fits {
		records = make([]runtime.BlockProfileRecord, 2*n)
		n, fits = runtime.MutexProfile(records)
	}
	m := &adminv3.MutexStats{}
	for _, r := range records[:n] {
		m.NumContentions += uint64(r.Count)
		m.LifetimeWaitCycles += uint64(r.Cycles)
	}
	p.message(m, true)
}

// tcmalloc shows what the Go runtime knows about its memory.
func (s *Server) tcmalloc(p *reply, _ *http.Request, _ url.Values) {
	var samples []metrics.Sample
	for _, d := range metrics.All() {
		if strings.HasPrefix(d.Name, "/memory/classes/") || strings.HasPrefix(d.Name, "/gc/heap/") {
			samples = append(samples, metrics.Sample{Name: d.Name})
		}
	}
	metrics.Read(samples)
	var b strings.Builder
	b.WriteString("memory of the Go runtime\n")
	for _, m := range samples {
		if m.Value.Kind() == metrics.KindUint64 {
			fmt.Fprintf(&b, "%s: %d\n", m.Name, m.Value.Uint64())
		}
	}
	p.text(http.StatusOK, b.String())
}
