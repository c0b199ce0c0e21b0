package sniff

// ServerFirstPort reports whether port is registered for a protocol in which
// the server speaks first. A client on such a port sends nothing to sniff, so
// waiting for its bytes only delays both. Ports whose protocol starts with TLS
// (465, 993, 995) are not among them: there the client speaks.
func ServerFirstPort(port uint16) bool { return PortLabel(port) != "" }

// PortLabel returns the name of the server-first protocol that is registered
// for port, or "". It is a guess by number, for logs and as a default: the port
// may carry anything.
func PortLabel(port uint16) string {
	switch port {
	case 13:
		return "daytime" // RFC 867
	case 17:
		return "qotd" // RFC 865
	case 19:
		return "chargen" // RFC 864
	case 21:
		return "ftp" // RFC 959 §5.4: 220
	case 22:
		return "ssh" // RFC 4253 §4.2: both send at once, many clients wait
	case 23:
		return "telnet" // RFC 854: in practice the server negotiates first
	case 24:
		return "lmtp" // RFC 2033
	case 25:
		return "smtp" // RFC 5321 §3.1: 220
	case 37:
		return "time" // RFC 868
	case 110:
		return "pop3" // RFC 1939 §4: +OK
	case 119:
		return "nntp" // RFC 3977 §5.1: 200
	case 143:
		return "imap" // RFC 9051 §7.1: * OK
	case 587:
		return "submission" // RFC 6409
	case 873:
		return "rsync" // @RSYNCD:
	case 3306:
		return "mysql" // initial handshake packet
	case 4190:
		return "sieve" // RFC 5804 §1.7
	case 4222:
		return "nats" // INFO
	case 5900:
		return "rfb" // RFC 6143 §7.1.1: ProtocolVersion
	}
	return ""
}
