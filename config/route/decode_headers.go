package route

import (
	"errors"
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
	"google.golang.org/protobuf/types/known/anypb"
)

// mutations compiles SIDE_headers_to_add and SIDE_headers_to_remove; nil when
// both are empty.
func mutations(errs *fielderr.List, side string, add []*corev3.HeaderValueOption, remove []string) *Mutations {
	if len(add)+len(remove) == 0 {
		return nil
	}
	m := &Mutations{}
	for i, o := range add {
		a, err := NewHeaderAdd(o)
		errs.Add(fielderr.Index(side+"_headers_to_add", i), err)
		m.Add = append(m.Add, a)
	}
	for i, name := range remove {
		path := fielderr.Index(side+"_headers_to_remove", i)
		if err := modifiable(name); err != nil {
			errs.Add(path, err)
		}
		m.Remove = append(m.Remove, header.Intern(name))
	}
	return m
}

// NewHeaderAdd compiles a HeaderValueOption.
func NewHeaderAdd(o *corev3.HeaderValueOption) (HeaderAdd, error) {
	if o.GetHeader() == nil {
		return HeaderAdd{}, &fielderr.Error{Path: "header", Err: errors.New("unset")}
	}
	var errs fielderr.List
	a := HeaderAdd{Name: header.Intern(o.Header.Key), KeepEmpty: o.KeepEmptyValue}
	errs.Add("header.key", modifiable(o.Header.Key))
	value, field := o.Header.Value, "header.value"
	if len(o.Header.RawValue) > 0 {
		if value != "" {
			errs.Addf("header.raw_value", "set besides value")
		}
		value, field = string(o.Header.RawValue), "header.raw_value"
	}
	f, err := ParseFormat(value)
	errs.Add(field, err)
	errs.Add(field, match.HeaderValue(value))
	a.Value = f
	switch o.AppendAction {
	case corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
	case corev3.HeaderValueOption_ADD_IF_ABSENT:
		a.Action = AddIfAbsent
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
		a.Action = OverwriteIfExistsOrAdd
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
		a.Action = OverwriteIfExists
	default:
		errs.Addf("append_action", "unknown value %d", o.AppendAction)
	}
	if o.Append != nil {
		switch {
		case o.AppendAction != corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
			errs.Addf("append", "set besides append_action (leave it out: it is deprecated)")
		case !o.Append.Value:
			a.Action = OverwriteIfExistsOrAdd
		}
	}
	return a, errs.Err()
}

// modifiable tells what is wrong with changing a header: the host and the path
// have their own fields, and a route must not be changed behind its back.
func modifiable(name string) error {
	if err := match.HeaderName(name); err != nil {
		return err
	}
	if name[0] == ':' || header.Intern(name) == header.Authority {
		return fmt.Errorf("%q: pseudo-headers and host may not be modified (use host_rewrite_literal, prefix_rewrite …)", name)
	}
	return nil
}

// filterConfigURL is the type that wraps a filter's configuration.
const filterConfigURL = "type.googleapis.com/envoy.config.route.v3.FilterConfig"

// filterConfigs parses typed_per_filter_config, by filter name.
func (d *decoder) filterConfigs(errs *fielderr.List, m map[string]*anypb.Any) []FilterConfig {
	if len(m) == 0 {
		return nil
	}
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	out := make([]FilterConfig, 0, len(names))
	for _, n := range names {
		path := fielderr.Key("typed_per_filter_config", n)
		if n == "" {
			errs.Addf(path, "empty filter name")
			continue
		}
		fc, keep, err := d.filterConfig(n, m[n])
		errs.Add(path, err)
		if keep {
			out = append(out, fc)
		}
	}
	return out
}

// filterConfig parses one entry; keep is false for an optional one that no
// filter here knows.
func (d *decoder) filterConfig(name string, a *anypb.Any) (fc FilterConfig, keep bool, err error) {
	fc.Filter = name
	if a.GetTypeUrl() != filterConfigURL {
		if d.leavesOut(a) {
			return fc, false, nil
		}
		fc.Config, err = d.parseRoute(a)
		return fc, err == nil, err
	}
	var w routev3.FilterConfig
	if err := a.UnmarshalTo(&w); err != nil {
		return fc, false, fmt.Errorf("unmarshal FilterConfig: %w", err)
	}
	switch {
	case w.Disabled: // Envoy: config is ignored then
		fc.Disabled = true
		return fc, true, nil
	case w.Config == nil:
		return fc, false, &fielderr.Error{Path: "config", Err: errors.New("unset, and the filter is not disabled")}
	case w.Config.TypeUrl == "":
		return fc, true, nil // Envoy: an empty config enables the filter
	case (w.IsOptional || d.leavesOut(w.Config)) && !d.knows(w.Config):
		return fc, false, nil
	}
	fc.Config, err = d.parseRoute(w.Config)
	if err != nil {
		return fc, false, &fielderr.Error{Path: "config", Err: err}
	}
	return fc, true, nil
}

func (d *decoder) knows(a *anypb.Any) bool {
	if d.ctx == nil || d.ctx.Registry == nil {
		return false
	}
	f, ok := d.ctx.Registry.ByRouteType(a.GetTypeUrl())
	return ok && f.ParseRoute != nil
}

// leavesOut tells the configurations of filters that are left out themselves.
func (d *decoder) leavesOut(a *anypb.Any) bool {
	return !d.knows(a) && d.ctx != nil && d.ctx.LeaveOut != nil && d.ctx.LeaveOut(a.GetTypeUrl())
}

func (d *decoder) parseRoute(a *anypb.Any) (any, error) {
	if a.GetTypeUrl() == "" {
		return nil, errors.New("type unset")
	}
	if !d.knows(a) {
		return nil, fmt.Errorf("no HTTP filter takes the per-route configuration %s", a.TypeUrl)
	}
	f, _ := d.ctx.Registry.ByRouteType(a.TypeUrl)
	return f.ParseRoute(a, d.ctx)
}

// override puts the more specific configurations over the less specific ones.
func override(specific, general []FilterConfig) []FilterConfig {
	if len(specific) == 0 {
		return general
	}
	out := slices.Clone(specific)
	for _, g := range general {
		i := slices.IndexFunc(specific, func(s FilterConfig) bool { return s.Filter == g.Filter })
		if i < 0 {
			out = append(out, g)
		} else if l, ok := out[i].Config.(Layered); ok && g.Config != nil {
			out[i].Config = l.Over(g.Config)
		}
	}
	return out
}
