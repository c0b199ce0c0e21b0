package listener

import (
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/yamlproto"
)

func sniffingOf(t *testing.T, value string) (Sniffing, error) {
	t.Helper()
	m := new(corev3.Metadata)
	if _, err := yamlproto.Unmarshal([]byte("filter_metadata: {other: {x: 1}, weir.sniffing: "+value+"}"), m, yamlproto.Options{}); err != nil {
		t.Fatal(err)
	}
	var l fielderr.List
	s := decodeSniffing(&l, m)
	return s, l.Err()
}

func TestSniffingIsDecoded(t *testing.T) {
	f := func(value string, change func(*Sniffing)) {
		t.Helper()
		want := defaultSniffing()
		change(&want)
		got, err := sniffingOf(t, value)
		if err != nil {
			t.Errorf("%s: %v", value, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", value, d)
		}
	}
	f("{}", func(*Sniffing) {})
	f("{server_first: {}}", func(*Sniffing) {})
	f("{server_first: {enabled: true}}", func(*Sniffing) {})
	f("{server_first: {enabled: false}}", func(s *Sniffing) { s.ServerFirst.Off = true })
	f("{server_first: {delay: 0s}}", func(s *Sniffing) { s.ServerFirst.Delay = 0 })
	f(`{server_first: {delay: "1.5s"}}`, func(s *Sniffing) { s.ServerFirst.Delay = 1500 * time.Millisecond })
	f("{name_check: {policy: flag}}", func(s *Sniffing) { s.NameCheck.Policy = FlagNames })
	f("{name_check: {policy: deny, wait: 1s, ech: true}}", func(s *Sniffing) {
		s.NameCheck = NameCheck{Policy: DenyNames, Wait: time.Second, ECH: true}
	})
	f("{postgres: {}}", func(s *Sniffing) { s.Postgres = PostgresPass })
	f("{postgres: {ssl: pass}}", func(s *Sniffing) { s.Postgres = PostgresPass })
	f("{postgres: {ssl: accept}}", func(s *Sniffing) { s.Postgres = PostgresAccept })
	f("{name_check: {policy: allow}}", func(*Sniffing) {})
	var l fielderr.List
	if got := decodeSniffing(&l, nil); got != defaultSniffing() || l.Err() != nil {
		t.Errorf("%+v, %v", got, l.Err())
	}
}

func TestSniffingThatIsWrongIsRefused(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		_, err := sniffingOf(t, value)
		if err == nil || !strings.HasPrefix(err.Error(), `metadata.filter_metadata["weir.sniffing"]`+want) {
			t.Errorf("%s: %v", value, err)
		}
	}
	f("{serverfirst: {}}", ".serverfirst: unknown field (known: ")
	f("{server_first: true}", ".server_first: not an object")
	f("{server_first: {on: true}}", ".server_first.on: unknown field (known: delay, enabled)")
	f(`{server_first: {enabled: "true"}}`, ".server_first.enabled: not true or false")
	f("{postgres: true}", ".postgres: not an object")
	f("{postgres: {ssl: refuse}}", ".postgres.ssl: want pass or accept")
	f("{postgres: {tls: pass}}", ".postgres.tls: unknown field (known: ssl)")
	f("{name_check: deny}", ".name_check: not an object")
	f("{name_check: {policy: refuse}}", ".name_check.policy: want allow, flag or deny")
	f("{name_check: {policy: 1}}", ".name_check.policy: want allow, flag or deny")
	f("{name_check: {ech: 1}}", ".name_check.ech: not true or false")
	f("{name_check: {wait: 1}}", ".name_check.wait: not a duration")
	f("{server_first: {delay: 1}}", `.server_first.delay: not a duration in a string, as in "1.5s"`)
	f("{server_first: {delay: -1s}}", `.server_first.delay: "-1s" is not a duration, as in "1.5s"`)
	f("{server_first: {delay: soon}}", `.server_first.delay: "soon" is not a duration, as in "1.5s"`)
}
