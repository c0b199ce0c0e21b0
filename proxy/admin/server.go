package admin

import (
	"net/http"
	"net/url"
	"runtime/metrics"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// ready answers load balancers and people who start things.
func (s *Server) ready(p *reply, _ *http.Request, q url.Values) {
	st, code := s.state(), http.StatusOK
	if st != "LIVE" {
		code = http.StatusServiceUnavailable
	}
	text := st + "\n"
	if q.Has("verbose") && s.o.XDS != nil {
		if g := s.o.XDS().LastGood; g != nil {
			text += lastGoodText(g.Saved, g.Resources, g.Types)
		}
	}
	p.text(code, text)
}

// hotRestart: there is no hot restart; Envoy says the same with --disable-hot-restart.
func (s *Server) hotRestart(p *reply, _ *http.Request, _ url.Values) {
	p.text(http.StatusOK, noHotRestart)
}

const noHotRestart = "disabled"

func (s *Server) serverInfo(p *reply, _ *http.Request, _ url.Values) {
	// Envoy counts whole seconds.
	up := durationpb.New(time.Since(s.o.Started).Truncate(time.Second))
	m := &adminv3.ServerInfo{
		Version: s.o.Version, State: adminv3.ServerInfo_State(adminv3.ServerInfo_State_value[s.state()]),
		UptimeCurrentEpoch: up, UptimeAllEpochs: up, HotRestartVersion: noHotRestart,
		CommandLineOptions: s.o.CommandLine, Node: s.o.Node,
	}
	if m.CommandLineOptions == nil {
		m.CommandLineOptions = &adminv3.CommandLineOptions{}
	}
	m = redacted(m)
	if m.CommandLineOptions.ConfigYaml != "" {
		m.CommandLineOptions.ConfigYaml = hidden // it may hold secrets; /config_dump has it without them
	}
	if m.Node == nil {
		m.Node = &corev3.Node{}
	}
	if s.o.XDS != nil {
		if g := s.o.XDS().LastGood; g != nil { // the message has no field for it
			p.w.Header().Set("X-Weir-Last-Known-Good", g.Saved.UTC().Format(time.RFC3339))
		}
	}
	p.message(m, true)
}

// memory fills Envoy's names with what the Go runtime knows: thread caches there
// are none.
func (s *Server) memory(p *reply, _ *http.Request, _ url.Values) {
	sample := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/total:bytes"},
	}
	metrics.Read(sample)
	n := func(i int) uint64 { return sample[i].Value.Uint64() }
	p.message(&adminv3.Memory{
		Allocated: n(0), HeapSize: n(0) + n(1) + n(3), PageheapUnmapped: n(2), PageheapFree: n(1),
		TotalPhysicalBytes: n(4) - n(2),
	}, true)
}
