package tree

import (
	"errors"
	"testing"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weirproxy/weir/config/protos"
	"github.com/weirproxy/weir/config/yamlproto"
)

func TestMain(m *testing.M) {
	if len(protos.Types()) == 0 { // linked, so that typed configurations are found
		panic("no types")
	}
	goleak.VerifyTestMain(m)
}

// parse reads a matcher in YAML.
func parse(t testing.TB, text string) *matcherv3.Matcher {
	t.Helper()
	m := &matcherv3.Matcher{}
	if _, err := yamlproto.Unmarshal([]byte(text), m, yamlproto.Options{}); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return m
}

// everything allows all inputs.
const everything = Connection | Certificate | Request | Response

// word takes the text of a google.protobuf.StringValue as the action.
func word(_ string, c *xdscorev3.TypedExtensionConfig) (string, error) {
	s := &wrapperspb.StringValue{}
	if err := c.GetTypedConfig().UnmarshalTo(s); err != nil {
		return "", errors.New("not a google.protobuf.StringValue")
	}
	return s.Value, nil
}

// compile decodes a matcher whose actions are words.
func compile(t testing.TB, text string) *Tree[string] {
	t.Helper()
	tr, err := Decode(parse(t, text), Options{Inputs: everything, KeepMatching: true}, word)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return tr
}
