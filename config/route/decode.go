package route

import (
	"errors"
	"fmt"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/config/turn"
	"github.com/weirproxy/weir/proxy/header"
)

// Decode compiles a RouteConfiguration. The error holds every mistake, each with
// its field path, as a fielderr.Errors; the table is nil then.
func Decode(rc *routev3.RouteConfiguration, ctx *extension.Context) (*Table, error) {
	if rc == nil {
		return nil, errors.New("route configuration unset")
	}
	d := &decoder{ctx: ctx, t: &Table{}, maxBody: maxDirectBody}
	own := fielderr.All(d.table(rc))
	if err := merge(own, fielderr.All(fielderr.Validate(rc))); err != nil {
		return nil, err
	}
	return d.t, nil
}

// merge adds the violations of declared constraints that the decoder has not
// found itself: its own words say more.
func merge(own, declared fielderr.Errors) error {
	said := make(map[string]bool, len(own))
	for _, e := range own {
		said[e.Path] = true
	}
	all := own
	for _, e := range declared {
		if !said[e.Path] {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// maxDirectBody is Envoy's default of max_direct_response_body_size_bytes.
const maxDirectBody = 4096

// decoder is what the decoding of one table needs at every level.
type decoder struct {
	ctx     *extension.Context
	t       *Table
	maxBody uint32

	names               map[string]bool // of the virtual hosts so far
	filters             []FilterConfig  // of the table
	request, response   *Mutations      // of the table
	vhost               *VirtualHost
	vhostFilters        []FilterConfig
	vhostReq, vhostResp *Mutations
	vhostRetry          *RetryPolicy
	vhostLimit          int64
	turn                turn.Turn
}

func (d *decoder) table(rc *routev3.RouteConfiguration) error {
	var errs fielderr.List
	d.settings(&errs, rc)
	for i, v := range rc.VirtualHosts {
		path := fielderr.Index("virtual_hosts", i)
		if v == nil {
			errs.Addf(path, "empty")
			continue
		}
		d.vhost = newVirtualHost(v, i)
		d.enter()
		errs.Add(path, d.virtualHost(v))
	}
	return errs.Err()
}

// settings reads all of a table but its virtual hosts, and what these take from it.
func (d *decoder) settings(errs *fielderr.List, rc *routev3.RouteConfiguration) {
	t := d.t
	t.Name = rc.Name
	t.MostSpecificWins = rc.MostSpecificHeaderMutationsWins
	t.IgnorePort = rc.IgnorePortInHostMatching
	t.ValidateClusters, t.ValidateClustersSet = rc.ValidateClusters.GetValue(), rc.ValidateClusters != nil
	d.maxBody = fielderr.Uint32(rc.MaxDirectResponseBodySizeBytes, maxDirectBody)
	for i, n := range rc.InternalOnlyHeaders {
		errs.Add(fielderr.Index("internal_only_headers", i), match.HeaderName(n))
		t.InternalOnlyHeaders = append(t.InternalOnlyHeaders, header.Intern(n))
	}
	if v := rc.Vhds; v != nil {
		t.Discovers, t.From = true, core.DecodeSource(errs, "vhds.config_source", v.ConfigSource)
		d.ctx.RequireFrom(VirtualHostURL, "*", t.From)
	}
	refuse(errs, "vhost_header", rc.VhostHeader != "")
	refuse(errs, "ignore_path_parameters_in_path_matching", rc.IgnorePathParametersInPathMatching)
	refuse(errs, "cluster_specifier_plugins", len(rc.ClusterSpecifierPlugins) > 0)
	refuse(errs, "route_specifiers", len(rc.RouteSpecifiers) > 0)

	d.request = mutations(errs, "request", rc.RequestHeadersToAdd, rc.RequestHeadersToRemove)
	d.response = mutations(errs, "response", rc.ResponseHeadersToAdd, rc.ResponseHeadersToRemove)
	d.filters = d.filterConfigs(errs, rc.TypedPerFilterConfig)
	t.request, t.response, t.filters = d.request, d.response, d.filters

	t.exact = make(map[string]*VirtualHost, len(rc.VirtualHosts))
	d.names = make(map[string]bool, len(rc.VirtualHosts))
}

// enter puts the virtual host at hand into the table.
func (d *decoder) enter() {
	vh := d.vhost
	if vh.Name != "" && d.names[vh.Name] {
		d.t.Lints = append(d.t.Lints, fmt.Sprintf("%s.name: %q is the name of another virtual host too", fielderr.Index("virtual_hosts", vh.Index), vh.Name))
	}
	d.names[vh.Name] = true
	d.t.VirtualHosts = append(d.t.VirtualHosts, vh)
}

// refuse records a field that changes what a request does and is not supported.
func refuse(errs *fielderr.List, field string, set bool) {
	if set {
		errs.Addf(field, "not supported")
	}
}

func newVirtualHost(v *routev3.VirtualHost, at int) *VirtualHost {
	return &VirtualHost{HostSettings: &HostSettings{Name: v.Name, Index: at, Domains: v.Domains}}
}

func (d *decoder) virtualHost(v *routev3.VirtualHost) error {
	var errs fielderr.List
	vh := d.vhost
	d.hostSettings(&errs, v)
	vh.Routes = make([]*Route, 0, len(v.Routes))
	for i, r := range v.Routes {
		d.turn.Pass()
		path := fielderr.Index("routes", i)
		if r == nil {
			errs.Addf(path, "empty")
			continue
		}
		rt, err := d.route(r, i)
		errs.Add(path, err)
		vh.Routes = append(vh.Routes, rt)
	}
	if errs.Len() == 0 {
		vh.index = newIndex(vh.Routes)
		d.lintUnreachable()
	}
	return errs.Err()
}

// hostSettings reads all of a virtual host but its routes, and what its routes take from it.
func (d *decoder) hostSettings(errs *fielderr.List, v *routev3.VirtualHost) {
	vh := d.vhost
	if v.Name == "" {
		errs.Addf("name", "empty")
	}
	if len(v.Domains) == 0 {
		errs.Addf("domains", "empty: the virtual host could never be chosen")
	}
	for i, dom := range v.Domains {
		errs.Add(fielderr.Index("domains", i), d.t.addDomain(dom, vh))
		d.lintDomain(i, dom)
	}
	refuse(errs, "matcher", v.Matcher != nil)
	refuse(errs, "retry_policy_typed_config", v.RetryPolicyTypedConfig != nil)
	refuse(errs, "route_specifiers", len(v.RouteSpecifiers) > 0)
	switch v.RequireTls {
	case routev3.VirtualHost_NONE:
	case routev3.VirtualHost_EXTERNAL_ONLY:
		vh.RequireTLS = TLSExternalOnly
	case routev3.VirtualHost_ALL:
		vh.RequireTLS = TLSAll
	default:
		errs.Addf("require_tls", "unknown value %d", v.RequireTls)
	}
	vh.IncludeRequestAttemptCount = v.IncludeRequestAttemptCount
	vh.IncludeAttemptCountInResponse = v.IncludeAttemptCountInResponse

	d.vhostReq = mutations(errs, "request", v.RequestHeadersToAdd, v.RequestHeadersToRemove)
	d.vhostResp = mutations(errs, "response", v.ResponseHeadersToAdd, v.ResponseHeadersToRemove)
	d.vhostFilters = override(d.filterConfigs(errs, v.TypedPerFilterConfig), d.filters)
	d.vhostRetry = nil
	if v.RetryPolicy != nil {
		rp, err := retryPolicy(v.RetryPolicy)
		errs.Add("retry_policy", err)
		d.vhostRetry = rp
	}
	d.vhostLimit = bufferLimit(errs, v.PerRequestBufferLimitBytes, v.RequestBodyBufferLimit)

	vh.toTLS = &Route{
		Index: -1, VirtualHost: vh.HostSettings, Redirect: &Redirect{HTTPS: true, Code: 301},
		FilterConfigs: d.vhostFilters, BufferLimit: d.vhostLimit,
	}
}

// addDomain enters a domain into the table; letter case does not count.
func (t *Table) addDomain(domain string, vh *VirtualHost) error {
	low := match.LowerString(domain)
	var dup *VirtualHost
	switch star := strings.IndexByte(low, '*'); {
	case low == "":
		return errors.New("empty")
	case low == "*":
		if dup = t.any; dup == nil {
			t.any = vh
		}
	case star < 0:
		if dup = t.exact[low]; dup == nil {
			t.exact[low] = vh
		}
	case star == 0 && strings.IndexByte(low[1:], '*') < 0:
		dup = t.suffix.add(low[1:], vh)
	case star == len(low)-1:
		dup = t.prefix.add(low[:star], vh)
	default:
		return errors.New(`"*" may stand at the beginning or at the end only`)
	}
	if dup != nil {
		return &duplicateDomain{domain, dup.Name}
	}
	return nil
}

// duplicateDomain says who has the domain already.
type duplicateDomain struct{ domain, owner string }

// Error names both.
func (e *duplicateDomain) Error() string {
	return "duplicate domain \"" + e.domain + "\": virtual host \"" + e.owner + "\" has it already"
}

// runtime has the keys that the table reads; nil without a context.
func (d *decoder) runtime() *runtime.Registry {
	if d.ctx == nil {
		return nil
	}
	return d.ctx.Runtime
}
