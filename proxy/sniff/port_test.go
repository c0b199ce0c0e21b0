package sniff

import "testing"

func TestServerFirstPort(t *testing.T) {
	for port, want := range map[uint16]string{
		21: "ftp", 22: "ssh", 25: "smtp", 110: "pop3", 143: "imap", 587: "submission", 3306: "mysql",
		13: "daytime", 17: "qotd", 19: "chargen", 23: "telnet", 24: "lmtp", 37: "time", 119: "nntp", 873: "rsync",
		4190: "sieve", 4222: "nats", 5900: "rfb",
		80: "", 443: "", 465: "", 993: "", 995: "", 5432: "", 6379: "", 0: "",
	} {
		if got := PortLabel(port); got != want || ServerFirstPort(port) != (want != "") {
			t.Errorf("port %d: %q %v, want %q", port, got, ServerFirstPort(port), want)
		}
	}
}
