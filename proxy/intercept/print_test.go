package intercept

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestPrintPlanSummarises(t *testing.T) {
	var b bytes.Buffer
	for _, name := range []string{"default", "ports", "exclusions", "ipv4", "ipv6", "local", "selection"} {
		p := goldenPlans()[name]
		b.WriteString(p.summary() + "\n")
		var whole bytes.Buffer
		if err := PrintPlan(&whole, p); err != nil {
			t.Fatal(err)
		}
		if want := p.summary() + "\n" + p.Render(); whole.String() != want {
			t.Errorf("%s: got\n%s", name, whole.String())
		}
	}
	golden(t, "summary.golden", b.String())
	if err := PrintPlan(&b, Plan{}); err == nil {
		t.Error("an invalid plan is printed")
	}
}

func TestPrintStatus(t *testing.T) {
	p := goldenPlans()["default"].WithDefaults()
	var b bytes.Buffer
	for _, s := range []Status{
		{Name: "main"},
		{Name: "main", PID: 7, Plan: &p},
		{
			Name: "main", Active: true, Mode: "resident", PID: 7, Owner: 9, Plan: &p,
			Rules:   []RuleStatus{{"take", "intercepted", 12, 720}, {"take", "nothing listens", 1, 60}, {"divert", "of our sockets", 9000, 1234567}},
			Routing: []RoutingStatus{{"ip -4 route add …", true}, {"ip -6 rule add …", false}},
		},
	} {
		var f []Finding
		if s.Active {
			f = []Finding{{"ip-rule-missing", Problem, "a policy rule is missing", "ip -6 rule add …"}}
		}
		if err := PrintStatus(&b, s, f); err != nil {
			t.Fatal(err)
		}
		b.WriteString("----\n")
	}
	golden(t, "status.golden", b.String())
}
