package parity

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

const types = "type.googleapis.com/envoy."

type object = map[string]any

// logFormat is one line of the access log. Its first field tells our own
// questions from the case's.
const logFormat = `%REQ(X-PARITY-PROBE)% %RESPONSE_CODE% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% %PROTOCOL%` +
	` rx=%BYTES_RECEIVED% tx=%BYTES_SENT% tries=%UPSTREAM_REQUEST_ATTEMPT_COUNT% route=%ROUTE_NAME% cluster=%UPSTREAM_CLUSTER%` +
	` "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%" host="%REQ(:AUTHORITY)%"` + "\n"

// bootstrap configures every case, each with a listener, a log and clusters of
// its own.
func bootstrap(plays []*play, admin string) ([]byte, error) {
	var listeners, clusters []any
	for i, p := range plays {
		name := fmt.Sprintf("c%d", i)
		listeners = append(listeners, p.listener(name))
		for _, c := range slices.Sorted(maps.Keys(p.origins)) {
			clusters = append(clusters, p.cluster(name, c))
		}
	}
	return json.MarshalIndent(object{
		"node":             object{"id": "parity", "cluster": "parity"},
		"admin":            object{"address": object{"pipe": object{"path": admin}}},
		"static_resources": object{"listeners": listeners, "clusters": clusters},
	}, "", " ")
}

func (p *play) object(key string) object {
	m, _ := p.k.set[key].(object)
	return m
}

func (p *play) list(key string) []any {
	l, _ := p.k.set[key].([]any)
	return l
}

func (p *play) listener(name string) object {
	router := object{"@type": types + "extensions.filters.http.router.v3.Router"}
	merge(router, p.object("router"))
	hcm := object{
		"@type":       types + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix": name,
		"http_filters": append(slices.Clone(p.list("filters")),
			object{"name": "envoy.filters.http.router", "typed_config": router}),
		"route_config": p.routes(),
		"access_log": []any{object{"name": "envoy.access_loggers.file", "typed_config": object{
			"@type":      types + "extensions.access_loggers.file.v3.FileAccessLog",
			"path":       p.log,
			"log_format": object{"text_format_source": object{"inline_string": logFormat}},
		}}},
	}
	merge(hcm, p.object("hcm"))
	if hcm["scoped_routes"] != nil {
		delete(hcm, "route_config")
	}
	chain := object{"filters": append(slices.Clone(p.list("network")),
		object{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm})}
	if p.k.tls != "" {
		chain["transport_socket"] = p.transportSocket()
	}
	l := object{"name": name, "address": address(p.port), "filter_chains": []any{chain}}
	merge(l, p.object("listener"))
	return rename(l, name).(object)
}

func (p *play) routes() object {
	route := object{"cluster": "origin"}
	merge(route, p.object("route"))
	routes := p.list("routes")
	if routes == nil {
		routes = []any{object{"match": object{"prefix": "/"}, "route": route}}
	}
	v := object{"name": "v", "domains": []any{"*"}, "routes": routes}
	merge(v, p.object("vhost"))
	vhosts := p.list("vhosts")
	if vhosts == nil {
		vhosts = []any{v}
	}
	rc := object{"name": "r", "virtual_hosts": vhosts}
	merge(rc, p.object("rds"))
	return rc
}

func (p *play) cluster(prefix, name string) object {
	own, _ := p.k.set["hostname"].(string)
	endpoint := object{"address": address(p.origins[name].port), "hostname": own}
	c := object{
		"name": name, "connect_timeout": "2s",
		"load_assignment": object{"cluster_name": name, "endpoints": []any{
			object{"lb_endpoints": []any{object{"endpoint": endpoint}}},
		}},
	}
	if name == "origin" {
		merge(c, p.object("cluster"))
	}
	more, _ := p.object("clusters")[name].(object)
	merge(c, more)
	return rename(c, prefix).(object)
}

func address(port int) object {
	return object{"socket_address": object{"address": "127.0.0.1", "port_value": port}}
}

// rename gives clusters the name they have in this case.
func rename(v any, prefix string) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for key, x := range v {
			s, isText := x.(string)
			switch {
			case isText && (key == "cluster" || key == "cluster_name"):
				out[key] = prefix + "-" + s
			case isText && key == "name" && v["load_assignment"] != nil:
				out[key] = prefix + "-" + s
			case key == "weighted_clusters":
				out[key] = renameWeighted(x, prefix)
			default:
				out[key] = rename(x, prefix)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = rename(v[i], prefix)
		}
		return out
	}
	return v
}

func renameWeighted(v any, prefix string) any {
	w, _ := rename(v, prefix).(object)
	l, _ := w["clusters"].([]any)
	for _, x := range l {
		if c, ok := x.(object); ok && c["name"] != nil {
			c["name"] = fmt.Sprintf("%s-%v", prefix, c["name"])
		}
	}
	return w
}
