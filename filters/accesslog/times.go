package accesslog

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/stream"
)

// A moment is a point in a stream's life (Envoy: COMMON_DURATION).
type moment uint8

const (
	downstreamStart moment = iota // DS_RX_BEG
	requestEnd                    // DS_RX_END
	upstreamFirst                 // US_RX_BEG
	upstreamEnd                   // US_RX_END
	downstreamEnd                 // DS_TX_END
)

// momentOf gives a moment's time; zero when it never came. A connection has
// only a beginning and an end.
func momentOf(m moment, c *conn.Conn, s *stream.Stream) time.Time {
	if s == nil {
		switch m {
		case downstreamStart:
			return c.Info.Start
		case downstreamEnd:
			return c.Info.End
		}
		return time.Time{}
	}
	switch i := &s.Info; m {
	case downstreamStart:
		return i.Start
	case requestEnd:
		return i.RequestDone
	case upstreamFirst:
		return i.UpstreamFirstByte
	case upstreamEnd:
		return i.UpstreamDone
	}
	return s.Info.End
}

// The units of a duration, in op.flag.
const (
	millis uint8 = iota
	micros
	nanos
)

func between(from, to moment) func(*op, string) error {
	return func(o *op, _ string) error {
		o.from, o.to = from, to
		return nil
	}
}

// durationArgs reads "START:END:UNIT".
func durationArgs(o *op, args string) error {
	parts := strings.Split(args, ":")
	if len(parts) != 3 {
		return fmt.Errorf("invalid common duration configuration: %s", args)
	}
	var err error
	if o.from, err = momentNamed(parts[0]); err != nil {
		return err
	}
	if o.to, err = momentNamed(parts[1]); err != nil {
		return err
	}
	switch parts[2] {
	case "ms":
		o.flag = millis
	case "us":
		o.flag = micros
	case "ns":
		o.flag = nanos
	default:
		return fmt.Errorf("invalid common duration precision: %s", parts[2])
	}
	return nil
}

func momentNamed(s string) (moment, error) {
	switch s {
	case "DS_RX_BEG":
		return downstreamStart, nil
	case "DS_RX_END":
		return requestEnd, nil
	case "US_RX_BEG":
		return upstreamFirst, nil
	case "US_RX_END":
		return upstreamEnd, nil
	case "DS_TX_END":
		return downstreamEnd, nil
	case "DS_TX_BEG", "US_TX_BEG", "US_TX_END", "US_CX_BEG", "US_CX_END", "US_HS_END":
		return 0, fmt.Errorf("valid in Envoy, not supported here: time point %s", s)
	}
	return 0, fmt.Errorf("unknown time point %q", s)
}

func duration(dst []byte, o *op, c *conn.Conn, s *stream.Stream) ([]byte, kind) {
	from, to := momentOf(o.from, c, s), momentOf(o.to, c, s)
	if from.IsZero() || to.IsZero() || to.Before(from) {
		return dst, none
	}
	d := to.Sub(from)
	switch o.flag {
	case micros:
		return appendNumber(dst, uint64(d.Microseconds()))
	case nanos:
		return appendNumber(dst, uint64(d))
	}
	return appendNumber(dst, uint64(d.Milliseconds()))
}

// The time zones of START_TIME and EMIT_TIME, in op.flag.
const (
	utc uint8 = iota
	local
)

func startTime(dst []byte, o *op, c *conn.Conn, s *stream.Stream) ([]byte, kind) {
	t := c.Info.Start
	if s != nil {
		t = s.Info.Start
	}
	if t.IsZero() {
		return dst, none
	}
	return o.layout.append(dst, zoned(t, o.flag)), text
}

func emitTime(dst []byte, o *op, _ *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return o.layout.append(dst, zoned(time.Now(), o.flag)), text
}

func zoned(t time.Time, zone uint8) time.Time {
	if zone == local {
		return t.Local()
	}
	return t.UTC()
}

// defaultLayout is Envoy's: 2018-10-25T17:17:18.123Z.
const defaultLayout = "%Y-%m-%dT%H:%M:%E3SZ"

func layoutArg(o *op, args string) (err error) {
	if args == "" {
		args = defaultLayout
	}
	o.layout, err = parseLayout(args)
	return err
}

// layout is a compiled strftime format: text and verbs in turn.
type layout []layoutPart

type layoutPart struct {
	verb   byte // 0 is text
	text   string
	digits int // of a fraction of a second
}

// goLayouts are the verbs that package time writes.
var goLayouts = map[byte]string{
	'p': "PM", 'b': "Jan", 'h': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'z': "-0700", 'Z': "MST",
}

// composed are the verbs that stand for several.
var composed = map[byte]string{
	'F': "%Y-%m-%d", 'T': "%H:%M:%S", 'R': "%H:%M", 'D': "%m/%d/%y", 'r': "%I:%M:%S %p", 'c': "%a %b %e %H:%M:%S %Y",
	'x': "%m/%d/%y", 'X': "%H:%M:%S", 'n': "\n", 't': "\t",
}

// parseLayout compiles the format of START_TIME: strftime's verbs, Envoy's %f
// and %1f…%9f (fraction of a second) and %s (Unix), and absl's %E1S…%E9S, %E1f…
func parseLayout(s string) (layout, error) {
	var l layout
	for s != "" {
		n := strings.IndexByte(s, '%')
		if n != 0 {
			if n < 0 {
				n = len(s)
			}
			l = append(l, layoutPart{text: s[:n]})
			s = s[n:]
			continue
		}
		p, used := parseVerb(s[1:])
		switch {
		case len(s) == 1:
			return nil, fmt.Errorf("invalid time format: ends in %%")
		case used == 0:
			return nil, fmt.Errorf("invalid time format: unknown verb %%%c", s[1])
		case composed[p.verb] != "":
			more, err := parseLayout(composed[p.verb])
			if err != nil {
				return nil, err
			}
			l = append(l, more...)
		default:
			l = append(l, p)
		}
		s = s[1+used:]
	}
	return l, nil
}

func parseVerb(v string) (p layoutPart, used int) {
	digit := func(i int) int {
		if i < len(v) && '1' <= v[i] && v[i] <= '9' {
			return int(v[i] - '0')
		}
		return 0
	}
	switch {
	case v == "":
		return p, 0
	case v[0] == '%':
		return layoutPart{text: "%"}, 1
	case v[0] == 'f':
		return layoutPart{verb: 'f', digits: 9}, 1
	case digit(0) > 0 && len(v) > 1 && v[1] == 'f':
		return layoutPart{verb: 'f', digits: digit(0)}, 2
	case v[0] == 'E' && digit(1) > 0 && len(v) > 2 && (v[2] == 'S' || v[2] == 'f'):
		return layoutPart{verb: v[2], digits: digit(1)}, 3
	case v[0] == 'Z', v[0] == 'z', goLayouts[v[0]] != "":
		return layoutPart{verb: 'G', text: goLayouts[v[0]]}, 1
	case strings.IndexByte("YmdeHIklMSsyCju", v[0]) >= 0, composed[v[0]] != "":
		return layoutPart{verb: v[0]}, 1
	}
	return p, 0
}

// append writes the time.
func (l layout) append(dst []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, sec := t.Clock()
	for i := range l {
		p := &l[i]
		switch p.verb {
		case 0:
			dst = append(dst, p.text...)
		case 'G':
			dst = t.AppendFormat(dst, p.text)
		case 'Y':
			dst = padded(dst, year, 4, '0')
		case 'C':
			dst = padded(dst, year/100, 2, '0')
		case 'y':
			dst = padded(dst, year%100, 2, '0')
		case 'm':
			dst = padded(dst, int(month), 2, '0')
		case 'd':
			dst = padded(dst, day, 2, '0')
		case 'e':
			dst = padded(dst, day, 2, ' ')
		case 'j':
			dst = padded(dst, t.YearDay(), 3, '0')
		case 'u':
			dst = append(dst, byte('1'+(t.Weekday()+6)%7))
		case 'H':
			dst = padded(dst, hour, 2, '0')
		case 'k':
			dst = padded(dst, hour, 2, ' ')
		case 'I':
			dst = padded(dst, (hour+11)%12+1, 2, '0')
		case 'l':
			dst = padded(dst, (hour+11)%12+1, 2, ' ')
		case 'M':
			dst = padded(dst, minute, 2, '0')
		case 'S':
			dst = padded(dst, sec, 2, '0')
			if p.digits > 0 {
				dst = fraction(append(dst, '.'), t.Nanosecond(), p.digits)
			}
		case 'f':
			dst = fraction(dst, t.Nanosecond(), p.digits)
		case 's':
			dst = strconv.AppendInt(dst, t.Unix(), 10)
		}
	}
	return dst
}

func padded(dst []byte, v, width int, pad byte) []byte {
	for n := 10; width > 1; width-- {
		limit := 1
		for range width - 1 {
			limit *= n
		}
		if v < limit {
			dst = append(dst, pad)
		} else {
			break
		}
	}
	return strconv.AppendInt(dst, int64(v), 10)
}

func fraction(dst []byte, nanos, digits int) []byte {
	for unit := 100_000_000; digits > 0; digits-- {
		dst = append(dst, byte('0'+nanos/unit%10))
		unit /= 10
	}
	return dst
}
