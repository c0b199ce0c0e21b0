package extension

import "slices"

// A Discovery stands in the place of a configuration that is discovered (Envoy: ExtensionConfigSource). It is the Config of a Parsed.
type Discovery struct {
	Key      string   // of Ref.Key, by which the data plane knows the resource
	Resource string   // its name
	TypeURLs []string // what its configuration may be
	Default  *Parsed  // until it is there, and after its removal; nil is none
}

// Discovered makes a Parsed of a configuration that is discovered.
func Discovered(k Kind, name string, d *Discovery) Parsed {
	return Parsed{Name: name, Factory: &Factory{Kind: k, Name: "config_discovery"}, Config: d}
}

// Discovery gives what to look at when the configuration is discovered, nil when it is not.
func (p *Parsed) Discovery() *Discovery {
	d, _ := p.Config.(*Discovery)
	return d
}

// Takes tells whether a configuration that came is one of those that may come.
func (d *Discovery) Takes(p *Parsed) bool { return slices.Contains(d.TypeURLs, p.Factory.TypeURL) }
