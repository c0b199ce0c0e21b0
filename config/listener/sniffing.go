package listener

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/types/known/structpb"
)

// SniffingKey is the key of a listener's filter_metadata under which it says how Weir looks at the first bytes, beyond
// what Envoy has fields for. Envoy carries such metadata and does not read it, so one configuration serves both.
const SniffingKey = "weir.sniffing"

// HTTPKey is the key of a filter chain's filter_metadata under which it says how Weir treats HTTP, beyond what Envoy has
// fields for.
const HTTPKey = "weir.http"

// decodeTransparent reads what a filter chain's metadata says: {transparent: true} or nothing.
func decodeTransparent(l *fielderr.List, at string, metadata *corev3.Metadata) (transparent bool) {
	eachField(l, fielderr.Key(at+".metadata.filter_metadata", HTTPKey), metadata.GetFilterMetadata()[HTTPKey], map[string]func(string, *structpb.Value){
		"transparent": func(at string, v *structpb.Value) { transparent = boolean(l, at, v) },
	})
	return transparent
}

// Sniffing is what a listener says under SniffingKey. docs/sniffing.md describes it.
type Sniffing struct {
	ServerFirst ServerFirst
	NameCheck   NameCheck
	Postgres    Postgres
}

// Postgres says what is done about PostgreSQL's clients.
type Postgres uint8

// What may be done.
const (
	PostgresOff    Postgres = iota // they are not looked for
	PostgresPass                   // they are, to choose a filter chain by; nothing is answered
	PostgresAccept                 // SSLRequest is accepted in the server's name, so that the ClientHello comes and can be looked at
)

// NamePolicy says what comes of a name (SNI, Host) that does not belong to the address that its client connected to.
type NamePolicy uint8

// The policies.
const (
	AllowNames NamePolicy = iota // names are not looked up
	FlagNames                    // they are, and nothing waits for it: log, statistics
	DenyNames                    // they are waited for; the connection is closed, the request refused
)

// NameCheck is how names are judged.
type NameCheck struct {
	Policy NamePolicy
	Wait   time.Duration // how long DenyNames waits for a look-up
	// ECH judges also the names of hellos with an encrypted_client_hello extension, which may be the front's.
	ECH bool
}

// defaultNameWait is above what a look-up takes, and below the patience of clients.
const defaultNameWait = 2 * time.Second

// ServerFirst is how a client that says nothing is waited for.
type ServerFirst struct {
	// Off waits for the client alone, as Envoy does. Otherwise the original destination is connected to meanwhile,
	// when that is where a client that says nothing would go, and whoever speaks first decides.
	Off   bool
	Delay time.Duration // how long the client has the word alone; 0: the destination is connected to at once
}

// defaultDelay is long enough for the first bytes of nearly every client that speaks first to come (they follow the handshake by
// one round trip at most), and too short to be noticed by a person.
const defaultDelay = 100 * time.Millisecond

func defaultSniffing() Sniffing {
	return Sniffing{ServerFirst: ServerFirst{Delay: defaultDelay}, NameCheck: NameCheck{Wait: defaultNameWait}}
}

// decodeSniffing reads what metadata says of sniffing. Every field has a default, so metadata may be nil.
func decodeSniffing(l *fielderr.List, metadata *corev3.Metadata) Sniffing {
	d := defaultSniffing()
	s := metadata.GetFilterMetadata()[SniffingKey]
	eachField(l, fielderr.Key("metadata.filter_metadata", SniffingKey), s, map[string]func(string, *structpb.Value){
		"server_first": func(at string, v *structpb.Value) { d.ServerFirst.decode(l, at, v) },
		"name_check":   func(at string, v *structpb.Value) { d.NameCheck.decode(l, at, v) },
		"postgres": func(at string, v *structpb.Value) {
			d.Postgres = PostgresPass
			eachOf(l, at, v, map[string]func(string, *structpb.Value){"ssl": func(at string, v *structpb.Value) {
				p, ok := postgresPolicies[v.GetStringValue()]
				if !ok {
					l.Addf(at, "want pass or accept")
				}
				d.Postgres = p
			}})
		},
	})
	return d
}

func (d *ServerFirst) decode(l *fielderr.List, at string, v *structpb.Value) {
	eachOf(l, at, v, map[string]func(string, *structpb.Value){
		"enabled": func(at string, v *structpb.Value) { d.Off = !boolean(l, at, v) },
		"delay": func(at string, v *structpb.Value) {
			var err error
			d.Delay, err = duration(v)
			l.Add(at, err)
		},
	})
}

func (d *NameCheck) decode(l *fielderr.List, at string, v *structpb.Value) {
	eachOf(l, at, v, map[string]func(string, *structpb.Value){
		"policy": func(at string, v *structpb.Value) {
			p, ok := namePolicies[v.GetStringValue()]
			if !ok {
				l.Addf(at, "want allow, flag or deny")
			}
			d.Policy = p
		},
		"wait": func(at string, v *structpb.Value) {
			var err error
			d.Wait, err = duration(v)
			l.Add(at, err)
		},
		"ech": func(at string, v *structpb.Value) { d.ECH = boolean(l, at, v) },
	})
}

var namePolicies = map[string]NamePolicy{"allow": AllowNames, "flag": FlagNames, "deny": DenyNames}

var postgresPolicies = map[string]Postgres{"pass": PostgresPass, "accept": PostgresAccept}

// eachOf is eachField of a value that must be an object.
func eachOf(l *fielderr.List, at string, v *structpb.Value, readers map[string]func(at string, v *structpb.Value)) {
	s, ok := v.GetKind().(*structpb.Value_StructValue)
	if !ok {
		l.Addf(at, "not an object")
		return
	}
	eachField(l, at, s.StructValue, readers)
}

func boolean(l *fielderr.List, at string, v *structpb.Value) bool {
	b, ok := v.GetKind().(*structpb.Value_BoolValue)
	if !ok {
		l.Addf(at, "not true or false")
	}
	return ok && b.BoolValue
}

// eachField calls the reader of each field of s, in order of their names; a field without one is a mistake.
func eachField(l *fielderr.List, at string, s *structpb.Struct, readers map[string]func(at string, v *structpb.Value)) {
	for _, k := range slices.Sorted(maps.Keys(s.GetFields())) {
		if read := readers[k]; read != nil {
			read(at+"."+k, s.Fields[k])
			continue
		}
		l.Addf(at+"."+k, "unknown field (known: %s)", strings.Join(slices.Sorted(maps.Keys(readers)), ", "))
	}
}

// duration reads a duration as protobuf's JSON writes it ("1.5s"), or with another of Go's units.
func duration(v *structpb.Value) (time.Duration, error) {
	s, ok := v.GetKind().(*structpb.Value_StringValue)
	if !ok {
		return 0, fmt.Errorf(`not a duration in a string, as in "1.5s"`)
	}
	d, err := time.ParseDuration(s.StringValue)
	if err != nil || d < 0 {
		return 0, fmt.Errorf(`%q is not a duration, as in "1.5s"`, s.StringValue)
	}
	return d, nil
}
