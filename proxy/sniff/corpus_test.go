package sniff

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// corpus returns the recorded hellos by name, in order.
func corpus(t testing.TB) (names []string, hellos map[string][]byte) {
	t.Helper()
	files, err := filepath.Glob("testdata/hellos/*.bin")
	if err != nil || len(files) < 30 {
		t.Fatalf("corpus: %d files, %v", len(files), err)
	}
	hellos = map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(f), ".bin")
		names = append(names, name)
		hellos[name] = b
	}
	slices.Sort(names)
	return names, hellos
}

// describe writes all a TLS reports of the hello, framing apart.
func describe(t *TLS) string {
	var b strings.Builder
	fmt.Fprintf(&b, "sni=%q alpn=[", t.ServerName())
	for i := range t.NumALPN() {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%q", t.ALPN(i))
	}
	fmt.Fprintf(&b, "] legacy=%s max=%s versions=[", VersionName(t.LegacyVersion()), VersionName(t.MaxVersion()))
	for i := range t.NumVersions() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(VersionName(t.Version(i)))
	}
	fmt.Fprintf(&b, "] ech=%v size=%d", t.ECH(), t.HelloSize())
	return b.String()
}

// message takes the record headers out.
func message(t testing.TB, wire []byte) []byte {
	t.Helper()
	var msg []byte
	for len(wire) > 0 {
		n := 5 + int(binary.BigEndian.Uint16(wire[3:]))
		msg = append(msg, wire[5:n]...)
		wire = wire[n:]
	}
	return msg
}

// records puts a handshake message into records cut at the given offsets.
func records(msg []byte, cuts ...int) []byte {
	var wire []byte
	for from := 0; from < len(msg); {
		to := len(msg)
		for from < to && to > from+maxRecordPayload {
			to = from + maxRecordPayload
		}
		if len(cuts) > 0 {
			to, cuts = cuts[0], cuts[1:]
		}
		wire = append(wire, recordHandshake, 3, 1, byte((to-from)>>8), byte(to-from))
		wire = append(wire, msg[from:to]...)
		from = to
	}
	return wire
}

// TestCorpusGolden compares what is recognised with a file reviewed by eye.
func TestCorpusGolden(t *testing.T) {
	names, hellos := corpus(t)
	var got strings.Builder
	for _, name := range names {
		var s TLS
		if st := s.Feed(hellos[name]); st != Match {
			t.Errorf("%s: %v %s", name, st, s.Err())
		}
		fmt.Fprintf(&got, "%s: %s records=%d\n", name, describe(&s), s.Records())
		if s.Consumed() != len(hellos[name]) {
			t.Errorf("%s: consumed %d of %d", name, s.Consumed(), len(hellos[name]))
		}
		if !bytes.Equal(s.Hello(), message(t, hellos[name])) {
			t.Errorf("%s: Hello differs from the message sent", name)
		}
	}
	const golden = "testdata/hellos/EXPECT"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("corpus (-want +got):\n%s", d)
	}
}

// TestCorpusCutEverywhere feeds each hello in two pieces, cut at every byte,
// and byte by byte.
func TestCorpusCutEverywhere(t *testing.T) {
	names, hellos := corpus(t)
	for _, name := range names {
		wire := hellos[name]
		var whole, cut, bytewise TLS
		whole.Feed(wire)
		want := describe(&whole)
		for i := range wire {
			cut.Reset()
			if st := cut.Feed(wire[:i]); st != More {
				t.Fatalf("%s: %v after %d bytes", name, st, i)
			}
			if st := cut.Feed(bytes.Clone(wire)); st != Match || describe(&cut) != want {
				t.Fatalf("%s cut at %d: %v %s", name, i, st, describe(&cut))
			}
			if st := bytewise.Feed(wire[:i]); st != More {
				t.Fatalf("%s: %v after %d bytes", name, st, i)
			}
			if n := bytewise.Need(); n <= i || n > len(wire) || bytewise.Records() == 1 && whole.Records() == 1 && bytewise.HelloSize() > 0 && n != len(wire) {
				t.Fatalf("%s: needs %d bytes after %d of %d", name, n, i, len(wire))
			}
		}
		if st := bytewise.Feed(wire); st != Match || describe(&bytewise) != want {
			t.Fatalf("%s byte by byte: %v %s", name, st, describe(&bytewise))
		}
	}
}

// TestCorpusRecordedAnew splits each hello into two records at every byte, and
// into records of one byte, and feeds these whole and byte by byte.
func TestCorpusRecordedAnew(t *testing.T) {
	names, hellos := corpus(t)
	var s TLS
	s.SetHelloLimit(MaxHelloLimit)
	for _, name := range names {
		var whole TLS
		whole.Feed(hellos[name])
		want := describe(&whole)
		msg := message(t, hellos[name])
		check := func(how string, wire []byte, wantRecords int) {
			t.Helper()
			s.Reset()
			if st := s.Feed(wire); st != Match || describe(&s) != want || s.Records() != wantRecords || !bytes.Equal(s.Hello(), msg) {
				t.Fatalf("%s %s: %v %s, %d records", name, how, st, describe(&s), s.Records())
			}
			s.Reset()
			for i := range wire {
				if st := s.Feed(wire[:i]); st != More {
					t.Fatalf("%s %s: %v after %d bytes of %d", name, how, st, i, len(wire))
				}
				if n := s.Need(); n <= i || n > len(wire) {
					t.Fatalf("%s %s: needs %d bytes after %d of %d", name, how, n, i, len(wire))
				}
			}
			if st := s.Feed(wire); st != Match || describe(&s) != want {
				t.Fatalf("%s %s byte by byte: %v %s", name, how, st, describe(&s))
			}
		}
		every := make([]int, 0, len(msg))
		for i := 1; i < len(msg); i++ {
			check(fmt.Sprintf("cut at %d", i), records(msg, i), 2)
			every = append(every, i)
		}
		check("in records of one byte", records(msg, append(every, len(msg))...), len(msg))
		check("with the header in four records", records(msg, 1, 2, 3), 4)
	}
}

// TestCorpusAgreesWithCryptoTLS compares with what Go's TLS server reads.
func TestCorpusAgreesWithCryptoTLS(t *testing.T) {
	names, hellos := corpus(t)
	for _, name := range names {
		info := serverView(hellos[name])
		if name == "openssl-dot" { // crypto/tls refuses the final dot
			if info != nil {
				t.Errorf("%s: crypto/tls accepts it now", name)
			}
			continue
		}
		if info == nil {
			t.Errorf("%s: crypto/tls does not read it", name)
			continue
		}
		var s TLS
		s.Feed(hellos[name])
		if d := cmp.Diff(fromInfo(info), fromTLS(&s)); d != "" {
			t.Errorf("%s (-crypto/tls +sniff):\n%s", name, d)
		}
	}
}

// view is what both parsers can tell of a hello.
type view struct {
	ServerName string
	Protocols  []string
	Versions   []uint16
	Extensions []uint16
	Suites     []uint16
}

func fromInfo(info *tls.ClientHelloInfo) view {
	v := view{ServerName: info.ServerName, Extensions: info.Extensions, Suites: info.CipherSuites}
	for _, p := range info.SupportedProtos {
		if !greaseName([]byte(p)) {
			v.Protocols = append(v.Protocols, p)
		}
	}
	if slices.Contains(info.Extensions, extSupportedVersions) {
		for _, x := range info.SupportedVersions {
			if !grease(x) {
				v.Versions = append(v.Versions, x)
			}
		}
	}
	return v
}

func fromTLS(s *TLS) view {
	v := view{ServerName: string(s.ServerName())}
	for i := range s.NumALPN() {
		v.Protocols = append(v.Protocols, string(s.ALPN(i)))
	}
	for i := range s.NumVersions() {
		v.Versions = append(v.Versions, s.Version(i))
	}
	for b := s.h.extensions; len(b) > 0; b = b[4+be16(b[2:]):] {
		v.Extensions = append(v.Extensions, uint16(be16(b)))
	}
	for b := s.h.ciphers; len(b) > 0; b = b[2:] {
		v.Suites = append(v.Suites, uint16(be16(b)))
	}
	return v
}

// serverView gives the bytes to a crypto/tls server and returns the hello it
// read, or nil.
func serverView(wire []byte) (info *tls.ClientHelloInfo) {
	config := &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
		info = i
		return nil, errors.New("seen")
	}}
	_ = tls.Server(&readConn{r: bytes.NewReader(wire)}, config).Handshake()
	return info
}

// readConn is a connection whose peer has sent all of r and reads nothing.
type readConn struct {
	net.Conn
	r io.Reader
}

func (c *readConn) Read(b []byte) (int, error)  { return c.r.Read(b) }
func (c *readConn) Write(b []byte) (int, error) { return len(b), nil }
func (c *readConn) Close() error                { return nil }
func (c *readConn) SetDeadline(time.Time) error { return nil }
func (c *readConn) SetWriteDeadline(time.Time) error {
	return nil
}
