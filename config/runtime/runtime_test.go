package runtime_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	values "github.com/weirproxy/weir/config/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reads prints what readers of every type see of a value.
func reads(v *values.Value) string {
	var out []string
	if n, ok := v.Uint(); ok {
		out = append(out, "uint="+strconv.FormatUint(n, 10))
	}
	if n, ok := v.Float(); ok {
		out = append(out, "float="+strconv.FormatFloat(n, 'g', -1, 64))
	}
	if b, ok := v.Bool(); ok {
		out = append(out, "bool="+strconv.FormatBool(b))
	}
	if s, ok := v.Share(); ok {
		out = append(out, fmt.Sprintf("share=%d/%d", s.Num, s.Den))
	}
	return strings.Join(out, " ")
}

// TestValues holds values of a Struct and of text to what Envoy makes of them.
func TestValues(t *testing.T) {
	f := func(json, text, want string) {
		t.Helper()
		var s structpb.Struct
		if err := protojson.Unmarshal([]byte(`{"k":`+json+`}`), &s); err != nil {
			t.Fatal(err)
		}
		m, err := values.Flatten(&s)
		if err != nil {
			t.Fatal(err)
		}
		if got := m["k"]; got.Text != text || reads(got) != want {
			t.Errorf("%s is %q: %s, want %q: %s", json, got.Text, reads(got), text, want)
		}
	}
	f(`1`, "1", "uint=1 float=1 share=1/100")
	f(`0`, "0", "uint=0 float=0 share=0/100")
	f(`200`, "200", "uint=200 float=200 share=100/100")
	f(`1.5`, "1.5", "float=1.5")
	f(`-1`, "-1", "float=-1")
	f(`1e30`, "1000000000000000000000000000000", "float=1e+30")
	f(`123456789`, "123456789", "uint=123456789 float=1.23456789e+08 share=100/100")
	f(`true`, "true", "bool=true")
	f(`"true"`, "true", "bool=true")
	f(`"FALSE"`, "FALSE", "bool=false")
	f(`"5"`, "5", "uint=5 float=5 share=5/100")
	f(`"  7 "`, "  7 ", "uint=7 float=7 share=7/100")
	f(`"18446744073709551615"`, "18446744073709551615", "uint=18446744073709551615 float=1.8446744073709552e+19 share=100/100")
	f(`"1e3"`, "1e3", "uint=1000 float=1000 share=100/100")
	f(`"0x10"`, "0x10", "")
	f(`"NaN"`, "NaN", "")
	f(`"words"`, "words", "")
	f(`""`, "", "")
	f(`"5%"`, "5%", "")
	f(`{}`, "{}", "")
	f(`{"numerator":5}`, `{"numerator":5}`, "share=5/100")
	f(`{"numerator":5,"denominator":"TEN_THOUSAND"}`, `{"denominator":"TEN_THOUSAND","numerator":5}`, "share=5/10000")
	f(`{"numerator":5,"denominator":2}`, `{"denominator":2,"numerator":5}`, "share=5/1000000")
	f(`{"denominator":"HUNDRED"}`, `{"denominator":"HUNDRED"}`, "share=0/100")
	f(`"{numerator: 7, denominator: MILLION}"`, "{numerator: 7, denominator: MILLION}", "share=7/1000000")
}

// Files and operators write YAML, which stays as it was written.
func TestParseValue(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if v := values.ParseValue(text); v.Text != text || reads(v) != want {
			t.Errorf("%q is %q: %s, want %s", text, v.Text, reads(v), want)
		}
	}
	f("5", "uint=5 float=5 share=5/100")
	f("5.5", "float=5.5")
	f("true", "bool=true")
	f(`"true"`, "bool=true")
	f(`"5"`, "uint=5 float=5 share=5/100")
	f(" x ", "")
	f("", "")
	f("5%", "")
	f("[1, 2]", "")
	f("{", "")
	f("a: b: c", "")
	f("{numerator: 3, denominator: MILLION}", "share=3/1000000")
	f(`{"numerator":1}`, "share=1/100")
	f(`{"numerator":-1}`, "")
	f(strings.Repeat("1", 5000), "")
}

func TestFlatten(t *testing.T) {
	f := func(json string, want ...string) {
		t.Helper()
		var s structpb.Struct
		if err := protojson.Unmarshal([]byte(json), &s); err != nil {
			t.Fatal(err)
		}
		m, err := values.Flatten(&s)
		var got []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			got = append(got, k+"="+m[k].Text)
		}
		if err != nil {
			got = append(got, err.Error())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", json, got, want)
		}
	}
	f(`{}`)
	f(`{"a":{"b":{"c":1}},"a.d":2}`, "a.b.c=1", "a.d=2")
	f(`{"x.y":1,"x":{"y":2}}`, "x.y=1") // in the order of names, the later one stays
	f(`{"a":[1],"b":null,"c":1}`, "c=1", `["a"]: runtime key "a": a list is no runtime value`+"\n"+`["b"]: runtime key "b": null is no runtime value`)
	f(`{"a":{"f":{"numerator":"x"}}}`, `["a"]["f"]: runtime key "a.f": numerator: unknown value`)
	f(`{"`+strings.Repeat("k", 2000)+`":1}`, `["`+strings.Repeat("k", 2000)+`"]: the key has more than 1024 bytes`)
	deep := strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70)
	f(deep, strings.Repeat(`["a"]`, 65)+": more than 64 levels")
}

func TestDecodeNamesTheField(t *testing.T) {
	s, err := structpb.NewStruct(map[string]any{"a": map[string]any{"b": []any{}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := values.Decode(&runtimev3.Runtime{Name: "r", Layer: s}); err == nil || err.Error() != `layer["a"]["b"]: runtime key "a.b": a list is no runtime value` {
		t.Error(err)
	}
	if p := values.Path(s, "a.b"); p != `["a"]["b"]` {
		t.Error(p)
	}
}

func TestReadFolder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("fault/http/abort", "5\n")
	write("share", "# a comment\n{numerator: 3,\n denominator: MILLION}\n#another\n")
	write("..data/hidden", "1")
	write("only.comment", "# nothing yet\n")
	write("list", "[1,2]")
	for link, to := range map[string]string{"linked": "fault", "nowhere": "gone"} {
		if err := os.Symlink(filepath.Join(dir, to), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := values.ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range slices.Sorted(maps.Keys(f.Values)) {
		got = append(got, fmt.Sprintf("%s=%q %s", k, f.Values[k].Text, reads(f.Values[k])))
	}
	want := []string{
		`fault.http.abort="5" uint=5 float=5 share=5/100`, `linked.http.abort="5" uint=5 float=5 share=5/100`,
		`list="[1,2]" `, `only.comment="" `, `share="{numerator: 3,\n denominator: MILLION}" share=3/1000000`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if len(f.Dirs) != 5 {
		t.Errorf("folders %q", f.Dirs)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	if _, err := values.ReadFolder(dir); err == nil || !strings.Contains(err.Error(), "more than 16 levels") {
		t.Errorf("loop: %v", err)
	}
	if _, err := values.ReadFolder(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}

// layer makes a layer of text values.
func layer(name string, kv ...string) *values.Layer {
	l := &values.Layer{Name: name, Values: map[string]*values.Value{}}
	for i := 0; i < len(kv); i += 2 {
		l.Values[kv[i]] = values.ParseValue(kv[i+1])
	}
	return l
}

// A key has the value of the last layer that has it, and its default without one or with one of another type.
func TestKeysFollowTheSnapshot(t *testing.T) {
	r := values.NewRegistry()
	early := r.Key("a")
	r.Store(values.Merge([]*values.Layer{layer("one", "a", "1", "b", "true"), nil, layer("two", "a", "2", "f", "{numerator: 1, denominator: MILLION}")}))
	if n := len(r.Snapshot().Layers); n != 2 {
		t.Errorf("%d layers", n)
	}
	if early != r.Key("a") || early.Name() != "a" {
		t.Error("another handle of the same key")
	}
	half := values.Share{Num: 1, Den: 2}
	for _, c := range []struct{ got, want any }{
		{early.Uint(9), uint64(2)},
		{early.Uint32(9), uint32(2)},
		{early.Float(9), 2.0},
		{early.Bool(true), true},
		{early.Share(half), values.Share{Num: 2, Den: 100}},
		{r.Key("b").Bool(false), true},
		{r.Key("b").Uint(7), uint64(7)},
		{r.Key("b").Float(7), 7.0},
		{r.Key("b").Share(half), half},
		{r.Key("f").Share(half), values.Share{Num: 1, Den: 1_000_000}},
		{r.Key("none").Uint(3), uint64(3)},
	} {
		if c.got != c.want {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	r.Store(values.Merge([]*values.Layer{layer("one", "a", "4294967296")}))
	if n := early.Uint32(9); n != 9 {
		t.Errorf("beyond 32 bits: %d", n)
	}
	r.Store(values.Merge(nil))
	if early.Value() != nil || early.Uint(9) != 9 {
		t.Error("a removed value stays")
	}
}

func TestNoRegistry(t *testing.T) {
	var r *values.Registry
	k := r.Key("a")
	if k != nil || k.Value() != nil || k.Name() != "" || k.Uint(3) != 3 || k.Float(3) != 3 || !k.Bool(true) || k.Share(values.Share{Num: 1, Den: 2}).Den != 2 {
		t.Error("a nil key has a value")
	}
	r.OnChange(func(*values.Snapshot) { t.Error("called") })
	if len(r.Snapshot().Final) != 0 || values.NewRegistry().Key("") != nil {
		t.Error("there are values")
	}
}

func TestOnChange(t *testing.T) {
	r := values.NewRegistry()
	var got []string
	r.OnChange(func(s *values.Snapshot) {
		text := "-"
		if v := s.Final["a"]; v != nil {
			text = v.Text
		}
		got = append(got, text)
	})
	r.Store(values.Merge([]*values.Layer{layer("l", "a", "1")}))
	r.Store(values.Merge([]*values.Layer{layer("l", "a", "2")}))
	if !slices.Equal(got, []string{"-", "1", "2"}) {
		t.Error(got)
	}
}

// Keys that nothing reads any more do not stay: configurations come and go.
func TestUnreadKeysAreSwept(t *testing.T) {
	r := values.NewRegistry()
	held := r.Key("held")
	for i := range 20_000 {
		r.Key("k" + strconv.Itoa(i))
		if i%1000 == 0 {
			runtime.GC()
		}
	}
	runtime.GC()
	r.Sweep()
	if n := r.Len(); n > 10 {
		t.Errorf("%d keys are kept", n)
	}
	if r.Key("held") != held {
		t.Error("a key in use was swept")
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	r := values.NewRegistry()
	k := r.Key("a")
	r.Store(values.Merge([]*values.Layer{layer("l", "a", "5")}))
	if n := testing.AllocsPerRun(100, func() { _, _, _ = k.Uint(1), k.Share(values.Share{}), k.Bool(false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkKey(b *testing.B) {
	r := values.NewRegistry()
	k := r.Key("a")
	r.Store(values.Merge([]*values.Layer{layer("l", "a", "5")}))
	b.ReportAllocs()
	for b.Loop() {
		_ = k.Share(values.Share{Num: 1, Den: 100})
	}
}

func TestUnread(t *testing.T) {
	l := layer("l", "overload.x", "1", "my.key", "1", "envoy.reloadable_features.y", "true", "overload.global_downstream_max_connections", "1")
	var got []string
	for _, u := range values.Unread(l.Values) {
		got = append(got, u.Name)
	}
	if !slices.Equal(got, []string{"overload.x"}) {
		t.Error(got)
	}
}

// FuzzParseValue: whatever an operator or a file says is a value.
func FuzzParseValue(f *testing.F) {
	for _, s := range []string{"5", "true", "{numerator: 1}", "{", "&a [*a]", "1e400", "\x00", "- x", "!!binary x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v := values.ParseValue(s); v == nil || v.Text != s {
			t.Errorf("%q", s)
		}
	})
}

// FuzzFlatten: whatever a control plane sends is taken or refused.
func FuzzFlatten(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":{"numerator":1e9}}`, `{"a":{"b":[null]}}`, `{"":{"":1}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var m structpb.Struct
		if protojson.Unmarshal([]byte(s), &m) != nil {
			return
		}
		got, err := values.Flatten(&m)
		if err != nil {
			return
		}
		for k, v := range got {
			if v == nil || values.Path(&m, k) == "" {
				t.Errorf("%s: %q", s, k)
			}
		}
	})
}
