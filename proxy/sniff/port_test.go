package sniff

import "testing"

func TestServerFirstPort(t *testing.T) {
	for port, want := range map[uint16]string{
		21: "ftp", 22: "ssh", 25: "smtp", 110: "pop3", 143: "imap", 587: "submission", 3306: "mysql",
		80: "", 443: "", 465: "", 993: "", 995: "", 5432: "", 6379: "", 0: "",
	} {
		if got := PortLabel(port); got != want || ServerFirstPort(port) != (want != "") {
			t.Errorf("port %d: %q %v, want %q", port, got, ServerFirstPort(port), want)
		}
	}
}
