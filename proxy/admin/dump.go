package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/xds"
)

// configDump shows the configuration in force, without secrets, and what of the
// control plane's last answers is not in force and why.
func (s *Server) configDump(p *reply, _ *http.Request, q url.Values) {
	expr := q.Get("name_regex")
	keep, err := regexp.Compile(expr)
	if err == nil && expr != "" { // whole names, as in Envoy
		keep, err = regexp.Compile("^(?:" + expr + ")$")
	}
	if err != nil {
		p.text(http.StatusBadRequest, fmt.Sprintf("INVALID_ARGUMENT: Error while parsing name_regex from %s: %v\n", expr, err))
		return
	}
	d := s.newDump(keep)
	parts := d.parts(q.Has("include_eds"))
	if resource := q.Get("resource"); resource != "" {
		var code int
		if parts, code, err = items(parts, resource); err != nil {
			p.text(code, err.Error()+"\n")
			return
		}
	}
	if q.Get("mask") != "" {
		if parts, err = masked(parts, q.Get("mask")); err != nil {
			p.text(http.StatusBadRequest, err.Error()+"\n")
			return
		}
	}
	out := &adminv3.ConfigDump{}
	for _, part := range parts {
		a, err := anypb.New(redacted(part))
		if err != nil {
			p.text(http.StatusInternalServerError, err.Error()+"\n")
			return
		}
		out.Configs = append(out.Configs, a)
	}
	p.message(out, false)
}

// items are the entries of the repeated field of that name, whichever part has it.
func items(parts []proto.Message, field string) ([]proto.Message, int, error) {
	for _, part := range parts {
		m := part.ProtoReflect()
		fd := m.Descriptor().Fields().ByTextName(field)
		switch {
		case fd == nil:
			continue
		case !fd.IsList() || fd.Message() == nil:
			return nil, http.StatusBadRequest,
				fmt.Errorf("%s is not a repeated field. Use ?mask=%s to get only this field", field, field)
		}
		l := m.Get(fd).List()
		out := make([]proto.Message, l.Len())
		for i := range out {
			out[i] = l.Get(i).Message().Interface()
		}
		return out, http.StatusOK, nil
	}
	return nil, http.StatusNotFound, fmt.Errorf("%s not found in config dump", field)
}

// masked keeps what the mask names of each part; parts that have nothing of it
// are left out.
func masked(parts []proto.Message, text string) (out []proto.Message, err error) {
	k := parseMask(text)
	var errs []error
	for _, part := range parts {
		m := proto.Clone(part)
		if err := k.of(m.ProtoReflect()).apply(m.ProtoReflect()); err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, m)
	}
	if len(out) == 0 && len(errs) > 0 {
		return nil, fmt.Errorf("FieldMask %s could not be successfully applied to any configs.\n%w", text, errors.Join(errs...))
	}
	return out, nil
}

// dump makes the parts of one /config_dump.
type dump struct {
	s       *Server
	keep    *regexp.Regexp
	snap    *config.Snapshot
	started *timestamppb.Timestamp
	types   map[string]xds.TypeStatus // by short name
	sds     []xds.TypeStatus          // secrets may come from many sources
}

func (s *Server) newDump(keep *regexp.Regexp) *dump {
	d := &dump{
		s: s, keep: keep, snap: s.o.Proxy.Snapshot(), started: stamp(s.o.Started.UTC()), types: map[string]xds.TypeStatus{},
	}
	if s.o.XDS != nil {
		for _, t := range s.o.XDS().Types {
			if t.TypeURL == config.SecretURL {
				d.sds = append(d.sds, t)
				continue
			}
			d.types[t.Short] = t
		}
	}
	return d
}

// parts are Envoy's, in its order.
func (d *dump) parts(eds bool) []proto.Message {
	boot := d.s.o.Bootstrap
	if boot == nil {
		boot = &bootstrapv3.Bootstrap{}
	}
	out := []proto.Message{
		&adminv3.BootstrapConfigDump{Bootstrap: boot, LastUpdated: d.started},
		d.clusters(),
	}
	if eds {
		out = append(out, d.endpoints())
	}
	out = append(out, d.listeners(), d.scopes(), d.routes(), d.secrets())
	if e := d.extensions(); len(e.EcdsFilters) > 0 {
		out = append(out, e)
	}
	return out
}

// resources are those of one type that the names chosen have, with what the xDS
// client knows of each: first those in force, then those that only wait or were
// only refused.
func (d *dump) resources(short string, live map[string]*config.Resource, visit func(entry)) {
	known := map[string]bool{}
	for _, st := range d.types[short].Resources {
		known[st.Name] = true
		if d.keep.MatchString(st.Name) {
			visit(entry{name: st.Name, live: live[st.Name], status: st})
		}
	}
	for name, r := range sorted(live) {
		if !known[name] && d.keep.MatchString(name) {
			visit(entry{name: name, live: r, status: xds.ResourceStatus{Name: name, Static: r.Static, Version: r.Version}})
		}
	}
}

// entry is one resource of a dump.
type entry struct {
	name   string
	live   *config.Resource // nil when no version serves
	status xds.ResourceStatus
}

// waits says that a version is accepted and does not serve yet.
func (e *entry) waits() bool { return e.status.State == xds.Warming }

// static is a resource of the bootstrap.
func (e *entry) static() bool { return e.live != nil && e.live.Static }

func (e *entry) failure() *adminv3.UpdateFailureState {
	f := e.status.Error
	if f == nil {
		return nil
	}
	return &adminv3.UpdateFailureState{VersionInfo: f.Version, LastUpdateAttempt: stamp(f.At.UTC()), Details: f.Text}
}

// updated is when the version that serves came to.
func (e *entry) updated() *timestamppb.Timestamp { return stamp(e.status.Updated.UTC()) }

// clientStatus is the state in Envoy's words.
func (e *entry) clientStatus() adminv3.ClientResourceStatus { return clientStatus(e.status) }

// raw is a resource as it was received, under the URL Envoy prints.
func raw(r *config.Resource, typeURL string) *anypb.Any {
	if r == nil || r.Raw == nil {
		return nil
	}
	return &anypb.Any{TypeUrl: typeURL, Value: r.Raw.GetValue()}
}

// named is a message with nothing but a name: a version that does not serve is
// known by name only.
func named(m proto.Message, name string) *anypb.Any {
	r := m.ProtoReflect()
	if fd := r.Descriptor().Fields().ByName("name"); fd != nil {
		r.Set(fd, protoreflect.ValueOfString(name))
	}
	a, err := anypb.New(m)
	if err != nil {
		return nil
	}
	return a
}
