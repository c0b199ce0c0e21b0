package admin

import (
	"net/http"
	"net/url"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"

	"github.com/weirproxy/weir/config"
)

// initDump lists what the first answer is still waited for. Envoy knows the mask
// "listener" alone; clusters are listed without one or with "cluster".
func (s *Server) initDump(p *reply, _ *http.Request, q url.Values) {
	m := &adminv3.UnreadyTargetsDumps{}
	if s.o.XDS != nil {
		for _, w := range s.o.XDS().Warming {
			if !wantedTarget(q.Get("mask"), kind(w.TypeURL)) {
				continue
			}
			m.UnreadyTargetsDumps = append(m.UnreadyTargetsDumps, &adminv3.UnreadyTargetsDumps_UnreadyTargetsDump{
				Name: initManager(w.TypeURL, w.Name), TargetNames: []string{initTarget(w.Blocker)},
			})
		}
	}
	p.message(m, false)
}

// wantedTarget tells whether a mask, a list of kinds with commas, names a kind.
func wantedTarget(mask, kind string) bool {
	if mask == "" {
		return true
	}
	for name := range strings.SplitSeq(mask, ",") {
		if name == kind {
			return true
		}
	}
	return false
}

// initManager is Envoy's name of what waits.
func initManager(typeURL, name string) string {
	if typeURL == config.ListenerURL {
		return "init manager Listener-local-init-manager " + name
	}
	return "init manager " + kind(typeURL) + " " + name
}

// initTarget is Envoy's name of what is waited for, out of ours (`RDS "r"`).
func initTarget(blocker string) string {
	if name, ok := strings.CutPrefix(blocker, "RDS "); ok {
		return "shared target RdsRouteConfigSubscription RDS init " + strings.Trim(name, `"`)
	}
	return "target " + blocker
}
