package xds

import (
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

func FuzzRESTResponse(f *testing.F) {
	for _, s := range []string{
		`{"version_info":"1","resources":[{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"a"}]}`,
		`{"versionInfo":"1","typeUrl":"x","nonce":"n","unknown":[1]}`, `{`, `[]`, `null`, `{"resources":[{}]}`, "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseResponse(data, ClusterType)
		if err == nil && m.GetTypeUrl() == "" {
			t.Error("no type")
		}
	})
}

// A request stands for itself: what was told once is not told again, and a version belongs to the names it was given for.
func TestPollRequests(t *testing.T) {
	p := &poller{}
	ask := func(version, nack string, now bool, names ...string) {
		t.Helper()
		r := &discoveryv3.DiscoveryRequest{TypeUrl: EndpointType, VersionInfo: version, ResourceNames: names, ResponseNonce: "n"}
		if nack != "" {
			r.ErrorDetail = &statuspb.Status{Message: nack}
		}
		if got := p.ask([]proto.Message{r}); got != now {
			t.Errorf("version %q: poll now is %v", version, got)
		}
	}
	sent := func(version, nack string) {
		t.Helper()
		r := p.request()
		if r.GetVersionInfo() != version || r.GetErrorDetail().GetMessage() != nack || r.GetResponseNonce() != "" {
			t.Errorf("sent %v, want version %q and error %q", r, version, nack)
		}
	}
	answered := func() { p.asked, p.told = true, true }
	ask("", "", true, "a")
	sent("", "")
	answered()
	ask("1", "", false, "a")
	sent("1", "")
	answered()
	ask("1", "wrong", false, "a")
	sent("1", "wrong")
	answered()
	sent("1", "")
	ask("1", "", true, "a", "b") // go-control-plane answers 304 by the version alone
	sent("", "")
	answered()
	sent("1", "")
}
