package admin

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/xds"
)

// ClientStatus is the answer of the client status discovery service (CSDS): every resource that is here or asked for, where it is on
// its way, and why its last version is not used. Secrets are taken out.
func (s *Server) ClientStatus(r *statusv3.ClientStatusRequest) *statusv3.ClientStatusResponse {
	c := &statusv3.ClientConfig{Node: s.o.Node}
	if s.o.XDS != nil {
		snap := s.o.Proxy.Snapshot()
		for _, t := range s.o.XDS().Types {
			live := resourcesOf(snap, t.TypeURL)
			for _, st := range t.Resources {
				g := genericConfig(t.TypeURL, st, live[extension.Ref{TypeURL: t.TypeURL, Name: st.Name, Source: t.From}.Key()])
				if r.GetExcludeResourceContents() {
					g.XdsConfig = nil
				}
				c.GenericXdsConfigs = append(c.GenericXdsConfigs, g)
			}
		}
	}
	return redacted(&statusv3.ClientStatusResponse{Config: []*statusv3.ClientConfig{c}})
}

// genericConfig tells of one resource.
func genericConfig(typeURL string, st xds.ResourceStatus, live *config.Resource) *statusv3.ClientConfig_GenericXdsConfig {
	e := entry{name: st.Name, live: live, status: st}
	g := &statusv3.ClientConfig_GenericXdsConfig{
		TypeUrl: typeURL, Name: st.Name, VersionInfo: st.Version, XdsConfig: raw(live, typeURL), LastUpdated: e.updated(),
		ClientStatus: e.clientStatus(), ErrorState: e.failure(), IsStaticResource: st.Static,
	}
	switch st.State {
	case xds.Acked, xds.Removing:
		g.ConfigStatus = statusv3.ConfigStatus_SYNCED
	case xds.Nacked:
		g.ConfigStatus = statusv3.ConfigStatus_ERROR
	case xds.Warming:
		g.ConfigStatus = statusv3.ConfigStatus_STALE
	case xds.Requested, xds.DoesNotExist:
		g.ConfigStatus = statusv3.ConfigStatus_NOT_SENT
	}
	return g
}

// clientStatus is a state in Envoy's words, which has none for what was accepted and waits: it is acknowledged.
func clientStatus(st xds.ResourceStatus) adminv3.ClientResourceStatus {
	switch st.State {
	case xds.Requested:
		return adminv3.ClientResourceStatus_REQUESTED
	case xds.DoesNotExist:
		return adminv3.ClientResourceStatus_DOES_NOT_EXIST
	case xds.Nacked:
		return adminv3.ClientResourceStatus_NACKED
	case xds.Acked, xds.Warming, xds.Removing:
		return adminv3.ClientResourceStatus_ACKED
	}
	return adminv3.ClientResourceStatus_UNKNOWN
}

// resourcesOf are the resources of a type that are in force.
func resourcesOf(s *config.Snapshot, typeURL string) map[string]*config.Resource {
	switch typeURL {
	case config.RuntimeURL:
		return s.Runtime
	case config.SecretURL:
		return s.Secrets
	case config.ClusterURL:
		return s.Clusters
	case config.AssignmentURL:
		return s.Endpoints
	case config.ListenerURL:
		return s.Listeners
	case config.RouteURL:
		return s.Routes
	case config.ExtensionURL:
		return s.Extensions
	case config.ScopeURL:
		return s.Scopes
	}
	return nil
}

// csds answers in JSON, as the gRPC service does when it is transcoded: the request may be the body of a POST.
func (s *Server) csds(p *reply, r *http.Request, q url.Values) {
	in := &statusv3.ClientStatusRequest{ExcludeResourceContents: q.Has("exclude_resource_contents")}
	if r.Method == http.MethodPost {
		b, err := io.ReadAll(http.MaxBytesReader(p.w, r.Body, maxForm))
		if err == nil && len(b) > 0 {
			err = protojson.Unmarshal(b, in)
		}
		if err != nil {
			p.text(http.StatusBadRequest, err.Error()+"\n")
			return
		}
	}
	if len(in.GetNodeMatchers()) > 0 {
		p.text(http.StatusBadRequest, "node_matchers are not supported: there is one node here\n")
		return
	}
	p.message(s.ClientStatus(in), false)
}

// isGRPC tells a gRPC call from the requests of people.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}
