package sniff

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// pg is a message of PostgreSQL's start: length, code, and the rest.
func pg(code uint32, rest string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(rest)))
	return append(binary.BigEndian.AppendUint32(b, code), rest...)
}

func TestPostgres(t *testing.T) {
	f := func(name string, b []byte, want Status, kind string) {
		t.Helper()
		got := More
		for i := range len(b) + 1 {
			st, k := Postgres(b[:i])
			if got != More && st != got {
				t.Errorf("%s: %v after %v", name, st, got)
			}
			if got = st; st == Match && k != kind {
				t.Errorf("%s: %s, want %s", name, k, kind)
			}
		}
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	f("nothing", nil, More, "")
	f("SSLRequest", pg(postgresSSL, ""), Match, PostgresSSL)
	f("SSLRequest with more", append(pg(postgresSSL, ""), 22, 3, 1), Match, PostgresSSL)
	f("GSSENCRequest", pg(postgresGSS, ""), Match, PostgresGSS)
	f("CancelRequest", pg(postgresCancel, "\x00\x00\x00\x01\x00\x00\x00\x02"), Match, PostgresCancel)
	f("CancelRequest of 3.2", pg(postgresCancel, "\x00\x00\x00\x01"+string(make([]byte, 32))), Match, PostgresCancel)
	f("StartupMessage", pg(3<<16, "user\x00a\x00\x00"), Match, PostgresStartup)
	f("StartupMessage 3.2", pg(3<<16|2, "user\x00a\x00\x00"), Match, PostgresStartup)
	f("StartupMessage 3.9999", pg(3<<16|9999, "\x00"), Match, PostgresStartup)
	f("StartupMessage of protocol 2", pg(2<<16, "\x00"), NoMatch, "")
	f("SSLRequest too long", pg(postgresSSL, "x"), NoMatch, "")
	f("CancelRequest too short", pg(postgresCancel, ""), NoMatch, "")
	f("too long", append(binary.BigEndian.AppendUint32(nil, 10001), 0, 3, 0, 0), NoMatch, "")
	f("too short", []byte{0, 0, 0, 7, 0, 3, 0, 0}, NoMatch, "")
	f("TLS", []byte{22, 3, 1, 0, 200}, NoMatch, "")
	f("HTTP", []byte("GET / HTTP/1.1\r\n"), NoMatch, "")
	f("DNS", []byte{0, 30, 1, 2, 1, 0}, NoMatch, "")
}

// FuzzPostgres: how the bytes arrive does not matter, and more bytes change no answer.
func FuzzPostgres(f *testing.F) {
	for _, c := range []uint32{postgresSSL, postgresGSS, postgresCancel, 3 << 16, 3<<16 | 2} {
		f.Add(pg(c, ""), uint32(1))
		f.Add(pg(c, "user\x00a\x00\x00"), uint32(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint32) {
		whole, kind := Postgres(b)
		if whole == More && len(b) >= 8 || whole == Bad {
			t.Fatalf("%v after %d bytes", whole, len(b))
		}
		last := More
		steps(b, seed, func(b []byte) {
			st, k := Postgres(b)
			if last != More && st != last || st == Match && k != kind {
				t.Fatalf("%v changed to %v, %s", last, st, k)
			}
			last = st
		})
		if st, _ := Postgres(append(bytes.Clone(b), 0)); last != whole || whole != More && st != whole {
			t.Fatalf("in pieces %v, whole %v, with more %v", last, whole, st)
		}
	})
}
