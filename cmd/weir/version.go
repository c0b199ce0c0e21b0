package main

import (
	"math"
	"runtime/debug"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirproxy/weir/config/extension"
)

// version is set by the build.
var version = "dev"

// The Envoy that is stood in for: what control planes and tools that look at
// versions are told.
const (
	envoyMajor, envoyMinor, envoyPatch = 1, 40, 0
	envoyVersion                       = "1.40.0"
)

// fullVersion has the form of Envoy's: revision/version/status/type/TLS.
func fullVersion() string { return "weir-" + version + "/" + envoyVersion + "/Clean/RELEASE/Go" }

// revision is the commit that was built, as far as the build knows.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// serverVersion is the statistic server.version: what the bootstrap says, or else
// the first six digits of the revision, 0 without one (Envoy: the same).
func serverVersion(override uint64, revision string) int64 {
	if override > 0 {
		return int64(min(override, math.MaxInt64))
	}
	if len(revision) < 6 {
		return 0
	}
	n, err := strconv.ParseInt(revision[:6], 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// completeNode says who we are where the bootstrap does not (Envoy: the same, by
// its own name). The name is Envoy's, and so is the version, since control planes
// choose by them what they send; what it really is is in the metadata.
func completeNode(n *corev3.Node, r *extension.Registry) {
	if n.GetUserAgentName() == "" {
		n.UserAgentName = "envoy"
	}
	if n.GetUserAgentVersionType() == nil {
		text := func(s string) *structpb.Value { return structpb.NewStringValue(s) }
		n.UserAgentVersionType = &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{
			Version: &typev3.SemanticVersion{MajorNumber: envoyMajor, MinorNumber: envoyMinor, Patch: envoyPatch},
			Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
				"build.type": text("RELEASE"), "revision.sha": text("weir-" + version), "revision.status": text("Clean"), "ssl.version": text("Go"),
			}},
		}}
	}
	if len(n.GetExtensions()) == 0 {
		n.Extensions = extensions(r)
	}
}

// categories are Envoy's words for kinds of extensions.
var categories = map[extension.Kind]string{
	extension.ListenerFilter: "envoy.filters.listener", extension.NetworkFilter: "envoy.filters.network",
	extension.HTTPFilter: "envoy.filters.http", extension.AccessLogger: "envoy.access_loggers",
	extension.AccessLogFilter: "envoy.access_loggers.extension_filters", extension.LBPolicy: "envoy.load_balancing_policies",
	extension.TransportSocket: "envoy.transport_sockets.downstream", extension.UpstreamTransportSocket: "envoy.transport_sockets.upstream",
	extension.RetryPredicate: "envoy.retry_host_predicates",
}

// category is Envoy's word for a kind; one that it has no word for is its own.
func category(k extension.Kind) string {
	if c := categories[k]; c != "" {
		return c
	}
	return string(k)
}

// extensions lists what there is, as Envoy tells it to control planes.
func extensions(r *extension.Registry) (out []*corev3.Extension) {
	for _, f := range r.All() {
		e := &corev3.Extension{Name: f.Name, Category: category(f.Kind)}
		for _, url := range []string{f.TypeURL, f.RouteURL} {
			if url != "" {
				e.TypeUrls = append(e.TypeUrls, typeName(url))
			}
		}
		out = append(out, e)
	}
	return out
}

func typeName(url string) string {
	for i := len(url) - 1; i >= 0; i-- {
		if url[i] == '/' {
			return url[i+1:]
		}
	}
	return url
}

// without leaves out the extensions of a list of category/name (Envoy:
// --disable-extensions); unknown tells those that there are not.
func without(tables [][]*extension.Factory, list []string) (left [][]*extension.Factory, unknown []string) {
	off := map[string]bool{}
	for _, name := range list {
		off[name] = false
	}
	for _, table := range tables {
		var kept []*extension.Factory
		for _, f := range table {
			id := category(f.Kind) + "/" + f.Name
			if _, there := off[id]; there {
				off[id] = true
				continue
			}
			kept = append(kept, f)
		}
		left = append(left, kept)
	}
	for _, name := range list {
		if !off[name] {
			unknown = append(unknown, name)
		}
	}
	return left, unknown
}
