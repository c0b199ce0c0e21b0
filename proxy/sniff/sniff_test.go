package sniff

import "testing"

func TestNames(t *testing.T) {
	for st, want := range map[Status]string{More: "more", Match: "match", NoMatch: "no_match", Bad: "bad", 9: "unknown"} {
		if st.String() != want {
			t.Errorf("Status(%d) = %q, want %q", st, st, want)
		}
	}
	for v, want := range map[uint16]string{0x0300: "SSLv3", 0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3", 0x0305: ""} {
		if got := VersionName(v); got != want {
			t.Errorf("VersionName(%#x) = %q, want %q", v, got, want)
		}
	}
}
