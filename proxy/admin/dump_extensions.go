package admin

import (
	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/weirproxy/weir/config"
)

// extensions are the configurations of filters that were discovered.
func (d *dump) extensions() *adminv3.EcdsConfigDump {
	m := &adminv3.EcdsConfigDump{}
	d.resources("ecds", d.snap.Extensions, func(e entry) {
		if e.live == nil && e.status.Error == nil && !e.waits() {
			return
		}
		f := &adminv3.EcdsConfigDump_EcdsFilterConfig{ErrorState: e.failure()}
		if e.live != nil {
			f.VersionInfo, f.EcdsFilter = e.live.Version, raw(e.live, config.ExtensionURL)
		} else {
			f.VersionInfo, f.EcdsFilter = e.status.Next, named(&corev3.TypedExtensionConfig{}, e.name)
		}
		m.EcdsFilters = append(m.EcdsFilters, f)
	})
	return m
}
