package sniff

import (
	"strings"
	"testing"
)

func TestClientLabel(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		"\x16\x03\x01\x02\x00":             "tls",
		preface:                            "h2c",
		"GET / HTTP/1.1\r\nHost: a\r\n":    "http",
		"GET / HTTP/2.0\r\n":               "http",
		"PROXY UNKNOWN\r\n":                "proxy_protocol",
		proxyV2:                            "proxy_protocol",
		"SSH-2.0-OpenSSH_9.2\r\n":          "ssh",
		"\x13BitTorrent protocol":          "bittorrent",
		"AMQP\x00\x00\x09\x01":             "amqp",
		"EHLO a.test\r\n":                  "smtp",
		"<?xml version='1.0'?>":            "xmpp",
		"*1\r\n$4\r\nPING\r\n":             "redis",
		"*x\r\n":                           "",
		"\x10\x10\x00\x04MQTT\x04\x02":     "mqtt",
		"\x03\x00\x00\x13\x0e\xe0\x00":     "rdp",
		"\x05\x02\x00\x01":                 "socks5",
		"\x00\x00\x00\x08\x04\xd2\x16\x2f": "postgres_ssl_request",
		"\x00\x00\x00\x08\x04\xd2\x16\x30": "postgres_gss_request",
		"\x00\x00\x00\x10\x04\xd2\x16\x2e": "postgres_cancel",
		"\x00\x00\x00\x54\x00\x03\x00\x00": "postgres",
		"\x54\x00\x00\x00\x00\x03\x00\x00": "",
		"\x3f\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00": "mongodb",
		"\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01":         "dns",
		"\x00\x1d\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x01":         "",
		strings.Repeat("x", 1000):                                          "",
	} {
		if got := ClientLabel([]byte(in)); got != want {
			t.Errorf("%.20q: %q, want %q", in, got, want)
		}
	}
}

func TestServerLabel(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		"SSH-2.0-dropbear\r\n":           "ssh",
		"220 a.test ESMTP Postfix\r\n":   "smtp",
		"220-a\r\n220 ProFTPD ready\r\n": "ftp",
		"220 hello\r\n":                  "smtp_or_ftp",
		"2200":                           "",
		"+OK ready\r\n":                  "pop3",
		"* OK [CAPABILITY IMAP4rev1]":    "imap",
		"RFB 003.008\n":                  "rfb",
		"@RSYNCD: 31.0\n":                "rsync",
		"INFO {\"server_id\":":           "nats",
		"200 news.test ready\r\n":        "nntp",
		"J\x00\x00\x00\x0a8.0.36\x00":    "mysql",
		"\xff\xfd\x18\xff\xfd\x20":       "telnet",
		"\x00\x00\x00\x00\x00":           "",
	} {
		if got := ServerLabel([]byte(in)); got != want {
			t.Errorf("%.20q: %q, want %q", in, got, want)
		}
	}
}

// FuzzLabel: whatever the bytes are, there is no panic, and a label that needs
// no length stays when more bytes come.
func FuzzLabel(f *testing.F) {
	f.Add([]byte("220 a ESMTP"))
	f.Add([]byte("\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ClientLabel(b) == "tls" && ClientLabel(append(b, 'x')) != "tls" {
			t.Error("no longer TLS")
		}
		ServerLabel(b)
	})
}
