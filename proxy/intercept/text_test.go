package intercept

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParsePorts(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "[]"},
		{"80", "[80]"},
		{" 80, 443,8000-8999 ,", "[80 443 8000-8999]"},
		{"1-65535", "[1-65535]"},
		{"0", "error"},
		{"65536", "error"},
		{"90-80", "error"},
		{"80-", "error"},
		{"-80", "error"},
		{"+80", "error"},
		{"http", "error"},
		{"1-2-3", "error"},
	} {
		got, err := ParsePorts(c.in)
		s := fmt.Sprint(got)
		if err != nil {
			s = "error"
		}
		if s != c.want {
			t.Errorf("%q: got %s (%v), want %s", c.in, s, err, c.want)
		}
	}
}

func TestParseCIDRs(t *testing.T) {
	got, err := ParseCIDRs("10.1.2.3/8, 192.0.2.1,2001:db8::/32")
	if want := "[10.0.0.0/8 192.0.2.1/32 2001:db8::/32]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v; want %s", got, err, want)
	}
	for _, s := range []string{"10.0.0.0/33", "x", "fe80::1%eth0", "10.0.0.0-10.0.0.1"} {
		if got, err := ParseCIDRs(s); err == nil {
			t.Errorf("%q: got %v", s, got)
		}
	}
}

func TestParseIDs(t *testing.T) {
	names := func(n string) (uint32, error) {
		if n == "www-data" {
			return 33, nil
		}
		return 0, fmt.Errorf("no user %s", n)
	}
	for _, c := range []struct{ in, want string }{
		{"", "[]"},
		{"0", "[0]"},
		{"1000, 2000-2999,www-data", "[1000 2000-2999 33]"},
		{"4294967295", "[4294967295]"},
		{"4294967296", "error"},
		{"2-1", "error"},
		{"2-", "error"},
		{"-2", "error"},
		{"nobody", "error"},
	} {
		got, err := ParseIDs(c.in, names)
		s := fmt.Sprint(got)
		if err != nil {
			s = "error"
		}
		if s != c.want {
			t.Errorf("%q: got %s (%v), want %s", c.in, s, err, c.want)
		}
	}
}

func TestParseMarks(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "[]"},
		{"7,0x100/0x100", "[0x7/0xffffffff 0x100/0x100]"},
		{"0/0xff", "[0x0/0xff]"},
		{"0x100000000", "error"},
		{"2/1", "error"},
		{"0/0", "error"},
		{"x", "error"},
		{"1/", "error"},
	} {
		got, err := ParseMarks(c.in)
		s := fmt.Sprint(got)
		if err != nil {
			s = "error"
		}
		if s != c.want {
			t.Errorf("%q: got %s (%v), want %s", c.in, s, err, c.want)
		}
	}
}

func TestParseCgroup(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"/system.slice/a.service/", "[cgroup system.slice/a.service]"},
		{"10:1", "[class 10:1]"},
		{"1:0", "[class 1:0]"},
		{":1", "error"},
		{"10000:1", "error"},
		{"a:g", "error"},
	} {
		var g Programs
		err := g.ParseCgroup(c.in)
		s := fmt.Sprint(g.words())
		if err != nil {
			s = "error"
		}
		if s != c.want {
			t.Errorf("%q: got %s (%v), want %s", c.in, s, err, c.want)
		}
	}
}

func TestPlanAndRecordSurviveJSON(t *testing.T) {
	for name, p := range goldenPlans() {
		want := record{Version: 1, Mode: Installed, Plan: p.WithDefaults()}
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got record
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	for _, s := range []string{`{"families":"ipv5"}`, `{"on_down":"close"}`} {
		var p Plan
		if err := json.Unmarshal([]byte(s), &p); err == nil {
			t.Errorf("%s is read", s)
		}
	}
	var r record
	if err := json.Unmarshal([]byte(`{"mode":"x"}`), &r); err == nil {
		t.Error("mode x is read")
	}
}

func FuzzParsePorts(f *testing.F) {
	f.Add("80,443,8000-8999")
	f.Add("-,1-,65535")
	f.Fuzz(func(t *testing.T, s string) {
		ports, err := ParsePorts(s)
		if err != nil {
			return
		}
		if err := (Plan{ListenPort: 1, Ports: ports}).Validate(); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		words := make([]string, len(ports))
		for i, p := range ports {
			words[i] = p.String()
		}
		if again, err := ParsePorts(strings.Join(words, ",")); err != nil || !reflect.DeepEqual(again, ports) {
			t.Errorf("%q: %v is read as %v, %v", s, ports, again, err)
		}
	})
}
