package fielderr

import (
	"errors"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Validate checks the constraints that Envoy's protos declare (protoc-gen-validate) and gives every violation, with proto
// field names. Messages inside google.protobuf.Any are not looked into. It is nil for messages without constraints.
func Validate(m proto.Message) error {
	v, ok := m.(interface{ ValidateAll() error })
	if !ok {
		return nil
	}
	err := v.ValidateAll()
	if err == nil {
		return nil
	}
	var l List
	violations(&l, "", err, m.ProtoReflect().Descriptor())
	return l.Err()
}

// violation is what protoc-gen-validate's generated error types have in common.
type violation interface {
	error
	Field() string
	Reason() string
	Cause() error
	Key() bool
}

func violations(l *List, path string, err error, md protoreflect.MessageDescriptor) {
	if all, ok := err.(interface{ AllErrors() []error }); ok {
		for _, e := range all.AllErrors() {
			violations(l, path, e, md)
		}
		return
	}
	v, ok := err.(violation)
	if !ok {
		l.Add(path, err)
		return
	}
	step, next := protoField(v.Field(), md)
	path = Join(path, step)
	if v.Cause() != nil && !v.Key() {
		violations(l, path, v.Cause(), next)
		return
	}
	reason := v.Reason()
	if v.Key() {
		reason = "key: " + reason
	}
	if v.Cause() != nil {
		reason += ": " + v.Cause().Error()
	}
	l.Add(path, errors.New(reason))
}

// protoField turns the Go name of a field ("FilterChains[2]") into its proto name and finds the message behind it.
func protoField(goField string, md protoreflect.MessageDescriptor) (string, protoreflect.MessageDescriptor) {
	name, sub := goField, ""
	if i := strings.IndexByte(goField, '['); i >= 0 {
		name, sub = goField[:i], goField[i:]
	}
	if md == nil {
		return goField, nil
	}
	for i := range md.Fields().Len() {
		f := md.Fields().Get(i)
		if goName(string(f.Name())) != name {
			continue
		}
		if !f.IsMap() {
			return string(f.Name()) + sub, f.Message()
		}
		// Keys come unquoted: map[key]value or [key].
		return Key(string(f.Name()), strings.TrimSuffix(strings.TrimPrefix(sub, "["), "]")), f.MapValue().Message()
	}
	for i := range md.Oneofs().Len() {
		if o := md.Oneofs().Get(i); goName(string(o.Name())) == name {
			return string(o.Name()), nil
		}
	}
	return goField, nil
}

// goName is the name protoc-gen-go gives a field.
func goName(s string) string {
	var b strings.Builder
	up := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '_' && i+1 < len(s) && s[i+1] >= 'a' && s[i+1] <= 'z':
			up = true
			continue
		case c == '_' && i == 0:
			b.WriteByte('X')
			up = true
			continue
		case c >= '0' && c <= '9' || c == '_':
			b.WriteByte(c)
			up = true
			continue
		case up && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		b.WriteByte(c)
		up = false
	}
	return b.String()
}
