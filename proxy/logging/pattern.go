package logging

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// A Pattern is a log format in spdlog's language, as --log-format takes it.
// (https://github.com/gabime/spdlog/wiki/3.-Custom-formatting, and Envoy's %_ and
// %j.) It formats one line each; what %v prints are the message and its fields.
type Pattern struct {
	pieces  []piece
	escaped bool
	caller  bool
}

// piece is text, or a flag with its alignment.
type piece struct {
	text  string
	flag  byte // 0: text
	width int
	align byte // '-' left, '=' centre, else right
	cut   bool // to the width
}

// flags are those that are known.
const flags = "vntPlLaAbBcCYDxmdHIMSefFEprRTXz+^$@sg#!%_jiuoO"

// ParsePattern reads a format. Escaped makes line feeds and other control
// characters of messages visible, so that every entry is one line (Envoy:
// --log-format-escaped).
func ParsePattern(s string, escaped bool) (*Pattern, error) {
	p := &Pattern{escaped: escaped}
	for s != "" {
		text, rest, found := strings.Cut(s, "%")
		if text != "" {
			p.pieces = append(p.pieces, piece{text: text})
		}
		if !found {
			break
		}
		var pc piece
		if rest != "" && (rest[0] == '-' || rest[0] == '=') {
			pc.align, rest = rest[0], rest[1:]
		}
		n := 0
		for n < len(rest) && n < 3 && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		pc.width, _ = strconv.Atoi(rest[:n]) // digits
		rest = rest[n:]
		if pc.width > 0 && len(rest) > 1 && rest[0] == '!' {
			pc.cut, rest = true, rest[1:]
		}
		if rest == "" {
			return nil, fmt.Errorf("log format ends inside a flag")
		}
		pc.flag, rest = rest[0], rest[1:]
		if !strings.ContainsRune(flags, rune(pc.flag)) {
			return nil, fmt.Errorf("log format: no flag %%%c", pc.flag)
		}
		p.caller = p.caller || strings.ContainsRune("@sg#!", rune(pc.flag))
		p.pieces, s = append(p.pieces, pc), rest
	}
	return p, nil
}

// NeedsCaller tells whether lines say where they were written.
func (p *Pattern) NeedsCaller() bool { return p.caller }

// Encoder makes lines by the pattern. started is what %i, %u, %o and %O count from.
func (p *Pattern) Encoder(started time.Time) zapcore.Encoder {
	cfg := zapcore.EncoderConfig{EncodeDuration: zapcore.StringDurationEncoder, EncodeTime: zapcore.ISO8601TimeEncoder}
	return &encoder{zapcore.NewJSONEncoder(cfg), p, started, buffer.NewPool()}
}

// encoder keeps the fields that a logger has by zap's JSON encoder.
type encoder struct {
	zapcore.Encoder
	p       *Pattern
	started time.Time
	pool    buffer.Pool
}

// Clone implements zapcore.Encoder.
func (e *encoder) Clone() zapcore.Encoder {
	c := *e
	c.Encoder = e.Encoder.Clone()
	return &c
}

// EncodeEntry implements zapcore.Encoder.
func (e *encoder) EncodeEntry(en zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	more, err := e.Encoder.EncodeEntry(zapcore.Entry{}, fields)
	if err != nil {
		return nil, err
	}
	msg := en.Message
	if f := strings.TrimSpace(more.String()); f != "{}" {
		msg += " " + f
	}
	more.Free()
	if e.p.escaped {
		msg = escape(msg)
	}
	b := e.pool.Get()
	for i := range e.p.pieces {
		e.p.pieces[i].write(b, &en, msg, e.started)
	}
	b.AppendByte('\n')
	return b, nil
}

func (pc *piece) write(b *buffer.Buffer, en *zapcore.Entry, msg string, started time.Time) {
	if pc.flag == 0 {
		b.AppendString(pc.text)
		return
	}
	s := pc.value(en, msg, started)
	if pc.cut && len(s) > pc.width {
		s = s[:pc.width]
	}
	pad := max(pc.width-len(s), 0)
	left := pad
	switch pc.align {
	case '-':
		left = 0
	case '=':
		left = pad / 2
	}
	b.AppendString(strings.Repeat(" ", left) + s + strings.Repeat(" ", pad-left))
}

// value is what a flag stands for.
func (pc *piece) value(en *zapcore.Entry, msg string, started time.Time) string {
	t := en.Time
	if layout, ok := layouts[pc.flag]; ok {
		return t.Format(layout)
	}
	switch pc.flag {
	case 'v':
		return msg
	case '_':
		return strings.ReplaceAll(msg, "\n", `\n`)
	case 'j':
		q, _ := json.Marshal(msg) // a string always marshals
		return string(q[1 : len(q)-1])
	case 'n':
		return en.LoggerName
	case 'l':
		return Name(en.Level)
	case 'L':
		return strings.ToUpper(Name(en.Level)[:1])
	case 'P', 't': // there are no threads to name
		return strconv.Itoa(os.Getpid())
	case 'e':
		return fmt.Sprintf("%03d", t.Nanosecond()/1e6)
	case 'f':
		return fmt.Sprintf("%06d", t.Nanosecond()/1e3)
	case 'F':
		return fmt.Sprintf("%09d", t.Nanosecond())
	case 'E':
		return strconv.FormatInt(t.Unix(), 10)
	case 'i':
		return strconv.FormatInt(int64(t.Sub(started)), 10)
	case 'u':
		return strconv.FormatInt(t.Sub(started).Microseconds(), 10)
	case 'o':
		return strconv.FormatInt(t.Sub(started).Milliseconds(), 10)
	case 'O':
		return strconv.FormatInt(int64(t.Sub(started).Seconds()), 10)
	case '%':
		return "%"
	case '^', '$': // colours
		return ""
	case '+':
		return t.Format("[2006-01-02 15:04:05.000] [") + en.LoggerName + "] [" + Name(en.Level) + "] " + msg
	}
	return caller(pc.flag, en.Caller)
}

// caller is where a line was written.
func caller(flag byte, c zapcore.EntryCaller) string {
	if !c.Defined {
		return ""
	}
	switch flag {
	case 's':
		return path.Base(c.File)
	case 'g':
		return c.TrimmedPath()[:strings.LastIndexByte(c.TrimmedPath(), ':')]
	case '#':
		return strconv.Itoa(c.Line)
	case '!':
		return path.Base(c.Function)
	}
	return c.TrimmedPath()
}

// layouts are the flags that Go's time package knows.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'C': "06", 'Y': "2006",
	'D': "01/02/06", 'x': "01/02/06", 'm': "01", 'd': "02", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'r': "03:04:05 PM", 'R': "15:04", 'T': "15:04:05", 'X': "15:04:05", 'z': "-07:00",
}

// escape makes control characters visible (Envoy: EscapedLogFormatter).
func escape(s string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`, "\f", `\f`, "\b", `\b`, "\a", `\a`, "\x00", `\0`).Replace(s)
}
