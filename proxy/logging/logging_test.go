package logging

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func lines(ls *Levels) (*zap.Logger, func() string) {
	var b bytes.Buffer
	cfg := zapcore.EncoderConfig{MessageKey: "m"}
	log := zap.New(ls.Core(zapcore.NewCore(zapcore.NewConsoleEncoder(cfg), zapcore.AddSync(&b), zapcore.DebugLevel)))
	return log, func() string {
		s := strings.NewReplacer("\n", " ", "\t", " ").Replace(b.String())
		b.Reset()
		return strings.TrimSpace(s)
	}
}

func TestLevelsByComponent(t *testing.T) {
	ls := New(zap.InfoLevel)
	log, said := lines(ls)
	config, other := log.Named("config"), log.Named("xds").With(zap.Int("n", 1)).Named("router")
	write := func() string {
		for name, l := range map[string]*zap.Logger{"c": config, "r": other} {
			l.Debug("d" + name)
			l.Warn("w" + name)
		}
		log.Debug("d")
		log.Info("i")
		return said()
	}
	f := func(want ...string) {
		t.Helper()
		got := write()
		for _, w := range want {
			if !strings.Contains(got+" ", w+" ") {
				t.Errorf("no %s in %q", w, got)
			}
		}
		if n := len(strings.Fields(strings.ReplaceAll(got, `{"n": 1}`, ""))); n != len(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f("wc", "wr", "i")
	if err := ls.Set("config:trace,router:error"); err != nil {
		t.Fatal(err)
	}
	f("dc", "wc", "i")
	for list, want := range map[string]error{"config": errEmpty, ":info": errEmpty, "nothing:info": errName, "http:debug,config:loud": errLevel} {
		if err := ls.Set(list); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", list, err, want)
		}
	}
	f("dc", "wc", "i")
	ls.SetAll(Off)
	f()
	n := 0
	ls.Each(func(_, level string) {
		n++
		if level != "off" {
			t.Errorf("got %s", level)
		}
	})
	if n != 73 {
		t.Errorf("%d components", n)
	}
	for _, name := range []string{"trace", "debug", "info", "warning", "error", "critical", "off"} {
		if l, err := Parse(name); err != nil || Name(l) != name {
			t.Errorf("%s: %v %v", name, l, err)
		}
	}
}

func TestPattern(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 6789012, time.UTC)
	f := func(pattern, want string, fields ...zapcore.Field) {
		t.Helper()
		p, err := ParsePattern(pattern, false)
		if err != nil {
			t.Fatal(err)
		}
		e := p.Encoder(at.Add(-1500 * time.Millisecond))
		b, err := e.EncodeEntry(zapcore.Entry{
			Level: zap.WarnLevel, Time: at, LoggerName: "config", Message: "a\n\"b\"",
			Caller: zapcore.EntryCaller{Defined: true, File: "/src/weir/xds/client.go", Line: 7, Function: "weir/xds.run"},
		}, fields)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSuffix(b.String(), "\n"); got != want {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
	f("[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %_", fmt.Sprintf(`[2026-01-02 15:04:05.006][%d][warning][config] [xds/client.go:7] a\n"b"`, os.Getpid()))
	f(`{"m":"%j","l":"%L"}`, `{"m":"a\n\"b\"","l":"W"}`)
	f("%_", `a\n"b" {"n":1}`, zap.Int("n", 1))
	f("%10l|%-10l|%=11l|%3!l|%%", "   warning|warning   |  warning  |war|%")
	f("%f %F %o %s %! %@ %^x%$", "006789 006789012 1500 client.go xds.run xds/client.go:7 x")
	f("%D %H:%M:%S %p %z %E", "01/02/26 15:04:05 PM +00:00 1767366245")
	for _, bad := range []string{"%", "a %-8", "%q", "%&"} {
		if _, err := ParsePattern(bad, false); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	p, err := ParsePattern("%v", true)
	if err != nil || p.NeedsCaller() {
		t.Fatal(err)
	}
	b, _ := p.Encoder(at).EncodeEntry(zapcore.Entry{Message: "a\r\n\tb"}, nil)
	if b.String() != `a\r\n\tb`+"\n" {
		t.Errorf("got %q", b.String())
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v")
	f.Add("%-8!l%=3v%%")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePattern(s, true)
		if err != nil {
			return
		}
		if _, err := p.Encoder(time.Time{}).EncodeEntry(zapcore.Entry{Message: s}, nil); err != nil {
			t.Fatal(err)
		}
	})
}
