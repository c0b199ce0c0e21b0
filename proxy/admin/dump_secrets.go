package admin

import (
	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/xds"
)

// secrets are those of the bootstrap, those in force and those that are waited for. What is secret in them is taken out with the
// rest of the dump.
func (d *dump) secrets() *adminv3.SecretsConfigDump {
	m := &adminv3.SecretsConfigDump{}
	shown := map[string]bool{}
	for _, t := range d.sds {
		for _, st := range t.Resources {
			key := extension.Ref{TypeURL: t.TypeURL, Name: st.Name, Source: t.From}.Key()
			shown[key] = true
			d.secret(m, entry{name: st.Name, live: d.snap.Secrets[key], status: st})
		}
	}
	for key, r := range sorted(d.snap.Secrets) {
		if !shown[key] {
			d.secret(m, entry{name: r.Name, live: r, status: xds.ResourceStatus{Name: r.Name, Static: r.Static, Version: r.Version}})
		}
	}
	return m
}

// uninitialized is Envoy's version of a secret that has not come yet.
const uninitialized = "uninitialized"

func (d *dump) secret(m *adminv3.SecretsConfigDump, e entry) {
	switch {
	case !d.keep.MatchString(e.name):
	case e.static():
		m.StaticSecrets = append(m.StaticSecrets, &adminv3.SecretsConfigDump_StaticSecret{
			Name: e.name, LastUpdated: d.started, Secret: raw(e.live, config.SecretURL),
		})
	case e.live != nil:
		m.DynamicActiveSecrets = append(m.DynamicActiveSecrets, &adminv3.SecretsConfigDump_DynamicSecret{
			Name: e.name, VersionInfo: e.live.Version, Secret: raw(e.live, config.SecretURL), ErrorState: e.failure(),
			LastUpdated: e.updated(), ClientStatus: e.clientStatus(),
		})
	default:
		w := &adminv3.SecretsConfigDump_DynamicSecret{
			Name: e.name, VersionInfo: uninitialized, Secret: named(&tlsv3.Secret{}, e.name), ErrorState: e.failure(), ClientStatus: e.clientStatus(),
		}
		if e.status.Next != "" { // it is here, and what refers to it waits for something else
			w.VersionInfo = e.status.Next
		}
		m.DynamicWarmingSecrets = append(m.DynamicWarmingSecrets, w)
	}
}
