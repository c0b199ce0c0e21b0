package admin

import (
	"io"
	"net/http"
	"net/url"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/proxy/explain/dryrun"
	"github.com/weirproxy/weir/proxy/flows"
)

// maxProposal bounds the body of a dry run, in bytes.
const maxProposal = 256 << 20

// A recentRequest is one of the sample, and where it would go now.
type recentRequest struct {
	flows.Request
	Way dryrun.Way `json:"way"`
}

// recent shows the sample that dry runs ask about.
func (s *Server) recent(p *reply, _ *http.Request, _ url.Values) {
	out := []recentRequest{}
	now := dryrun.NewDecider(s.o.Proxy.Snapshot())
	if r := s.o.Proxy.Flows(); r != nil {
		for _, q := range r.Sample() {
			out = append(out, recentRequest{q, now.Decide(&q)})
		}
	}
	p.value(out)
}

// dryRun says what resources would change. It changes nothing itself; it is a POST for its body.
func (s *Server) dryRun(p *reply, r *http.Request, q url.Values) {
	if s.o.Decode == nil || s.o.Proxy.Flows() == nil {
		unable(p, "dry_run")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(p.w, r.Body, maxProposal))
	m := &discoveryv3.DiscoveryResponse{}
	if err == nil {
		err = proto.Unmarshal(body, m)
	}
	if err != nil {
		p.text(http.StatusBadRequest, "dry_run: "+err.Error()+"\n")
		return
	}
	p.value(dryrun.Run(s.o.Proxy.Snapshot(), dryrun.Proposal{Resources: m.GetResources(), Static: q.Has("static")}, s.o.Decode,
		s.o.Proxy.Flows().Sample()))
}
