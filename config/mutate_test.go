package config_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/configtest"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/proxy/info"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// TestChangedFieldsNeverPanic changes real resources field by field, also inside Any: what a fuzzer of bytes hardly reaches. It is
// either refused with paths or can be used.
func TestChangedFieldsNeverPanic(t *testing.T) {
	d := &config.Decoder{Registry: configtest.Registry(), Mode: support.Degrade}
	r := rand.New(rand.NewPCG(5, 6))
	accepted, refused := 0, 0
	for _, file := range []string{"testdata/gateway.yaml", "testdata/sidecar.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range resources(t, string(text)) {
			for range 150 {
				m, err := a.UnmarshalNew()
				if err != nil {
					t.Fatal(err)
				}
				for range 1 + r.IntN(3) {
					mutate(r, m.ProtoReflect(), 0)
				}
				changed := &anypb.Any{TypeUrl: a.TypeUrl}
				if changed.Value, err = (proto.MarshalOptions{AllowPartial: true}).Marshal(m); err != nil {
					continue // invalid UTF-8
				}
				res, err := d.Decode(a.TypeUrl, changed, r.IntN(2) == 0)
				var p *config.PanicError
				if errors.As(err, &p) {
					t.Fatalf("%v\n%s\n%v", err, p.Stack, m)
				}
				if err != nil {
					refused++
					continue
				}
				accepted++
				s := &config.Snapshot{Listeners: map[string]*config.Resource{res.Name: res}}
				if l := s.Listener(res.Name); l != nil {
					c := &info.Conn{ServerName: []byte("www.example.com"), ALPN: [][]byte{[]byte("http/1.1")}}
					if l.Selector.Select(c, nil) != l.Selector.Select(c, &match.Trace{}) {
						t.Fatalf("the trace changes the choice: %v", m)
					}
					for _, f := range l.Filters {
						f.DisabledFor.Matches(c)
					}
				}
				s.Lint()
			}
		}
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
	if accepted < 100 || refused < 100 {
		t.Error("the sample is too thin to show anything")
	}
}

// mutate changes one field somewhere below m.
func mutate(r *rand.Rand, m protoreflect.Message, depth int) {
	if a, ok := m.Interface().(*anypb.Any); ok && r.IntN(8) > 0 {
		if inner, err := a.UnmarshalNew(); err == nil {
			mutate(r, inner.ProtoReflect(), depth+1)
			if b, err := proto.Marshal(inner); err == nil {
				a.Value = b
				return
			}
		}
	}
	fields := m.Descriptor().Fields()
	var set []protoreflect.FieldDescriptor
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		set = append(set, f)
		return true
	})
	if len(set) > 0 && r.IntN(4) > 0 { // go on below what is there
		f := set[r.IntN(len(set))]
		switch {
		case r.IntN(12) == 0:
			m.Clear(f)
		case f.IsMap():
		case f.IsList():
			l := m.Mutable(f).List()
			switch i := r.IntN(l.Len()); {
			case r.IntN(4) == 0:
				l.Append(l.Get(i))
			case f.Message() != nil:
				mutate(r, l.Get(i).Message(), depth+1)
			default:
				l.Set(i, scalar(r, f))
			}
		case f.Message() != nil:
			mutate(r, m.Mutable(f).Message(), depth+1)
		default:
			m.Set(f, scalar(r, f))
		}
		return
	}
	if fields.Len() == 0 || depth > 12 {
		return
	}
	switch f := fields.Get(r.IntN(fields.Len())); { // set what is not
	case f.IsMap():
	case f.IsList() && f.Message() != nil:
		m.Mutable(f).List().AppendMutable()
	case f.IsList():
		m.Mutable(f).List().Append(scalar(r, f))
	case f.Message() != nil:
		inner := m.Mutable(f).Message()
		if r.IntN(2) == 0 {
			mutate(r, inner, depth+1)
		}
	default:
		m.Set(f, scalar(r, f))
	}
}

func scalar(r *rand.Rand, f protoreflect.FieldDescriptor) protoreflect.Value {
	ints := []int64{0, 1, -1, 2, 65535, 65536, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64}
	n := ints[r.IntN(len(ints))]
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(n&1 == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(r.IntN(8) - 1))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(n)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(n))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64([]float64{0, -1, math.NaN(), math.Inf(1), 1e300, 0.5}[r.IntN(6)])
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0xff, 0, 1})
	}
	return protoreflect.ValueOfString([]string{"", "*", "*.", "*.com", "10.0.0.1", "::", "fe80::1%eth0", "%", "\x00", "a.com", "type.googleapis.com/x"}[r.IntN(11)])
}
