package sniff

import (
	"bytes"
	"encoding/binary"
)

// labelBytes is how far into the bytes a label is looked for.
const labelBytes = 512

// ClientLabel guesses the protocol of a connection from the first bytes of its
// client, or returns "". It is for logs and counters that say what was seen
// when nothing else matched, never for a routing decision: it may be wrong, and
// a longer b may be told better.
func ClientLabel(b []byte) string {
	b = b[:min(len(b), labelBytes)]
	for _, l := range [...]struct{ prefix, label string }{
		{"\x16\x03", "tls"},
		{preface, "h2c"},
		{proxyV1, "proxy_protocol"},
		{proxyV2, "proxy_protocol"},
		{"SSH-", "ssh"},
		{"\x13BitTorrent protocol", "bittorrent"},
		{"AMQP", "amqp"},
		{"EHLO ", "smtp"},
		{"HELO ", "smtp"},
		{"LHLO ", "lmtp"},
		{"<?xml", "xmpp"},
		{"<stream:stream", "xmpp"},
	} {
		if len(b) >= len(l.prefix) && string(b[:len(l.prefix)]) == l.prefix {
			return l.label
		}
	}
	if st, _ := HTTP1(b); st == Match {
		return "http"
	}
	return binaryLabel(b)
}

// binaryLabel is ClientLabel for protocols that begin with a length or a code.
func binaryLabel(b []byte) string {
	if len(b) < 4 {
		return ""
	}
	switch {
	case b[0] == '*' && '1' <= b[1] && b[1] <= '9' && bytes.Contains(b[:min(len(b), 8)], []byte("\r\n$")):
		return "redis" // RESP array of bulk strings
	case b[0] == 0x10 && bytes.Contains(b[:min(len(b), 12)], []byte("\x00\x04MQTT")):
		return "mqtt" // CONNECT, protocol name
	case b[0] == 3 && b[1] == 0 && len(b) >= 6 && b[5] == 0xe0:
		return "rdp" // TPKT (RFC 1006) with an X.224 connection request
	case b[0] == 5 && len(b) == 2+int(b[1]):
		return "socks5" // RFC 1928 §3
	}
	if st, kind := Postgres(b); st == Match {
		return kind
	}
	if len(b) >= 16 {
		switch binary.LittleEndian.Uint32(b[12:]) { // opcode of a MongoDB message
		case 2004, 2013: // OP_QUERY, OP_MSG
			return "mongodb"
		}
	}
	// RFC 7766: two bytes of length, then a query: opcode 0, one question.
	if len(b) >= 14 && be16(b) >= 17 && b[4]&0xf8 == 0 && be16(b[6:]) == 1 && be16(b[8:]) == 0 && be16(b[10:]) == 0 {
		return "dns"
	}
	return ""
}

// ServerLabel guesses the protocol of a connection on which the server spoke
// first from the server's first bytes, or returns "". The same limits as for
// ClientLabel apply.
func ServerLabel(b []byte) string {
	b = b[:min(len(b), labelBytes)]
	for _, l := range [...]struct{ prefix, label string }{
		{"SSH-", "ssh"},
		{"+OK", "pop3"},
		{"* OK", "imap"},
		{"* PREAUTH", "imap"},
		{"RFB ", "rfb"},
		{"@RSYNCD:", "rsync"},
		{"INFO {", "nats"},
		{"200 ", "nntp"},
		{"201 ", "nntp"},
	} {
		if len(b) >= len(l.prefix) && string(b[:len(l.prefix)]) == l.prefix {
			return l.label
		}
	}
	switch {
	case len(b) >= 4 && string(b[:3]) == "220" && (b[3] == ' ' || b[3] == '-'):
		if bytes.Contains(b, []byte("SMTP")) {
			return "smtp"
		}
		if bytes.Contains(b, []byte("FTP")) {
			return "ftp"
		}
		return "smtp_or_ftp"
	case len(b) >= 5 && b[3] == 0 && (b[4] == 10 || b[4] == 0xff) && b[0] > 0:
		return "mysql" // packet 0: handshake version 10, or an error
	case len(b) >= 3 && b[0] == 0xff && 0xfb <= b[1] && b[1] <= 0xfe:
		return "telnet" // RFC 854: IAC WILL, WONT, DO or DONT
	}
	return ""
}
