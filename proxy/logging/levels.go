// Package logging is the log as Envoy's command line and admin interface speak of
// it: levels by component, and formats in spdlog's pattern language.
//
// A component is the name of a zap logger (`log.Named("config")`), in Envoy's
// vocabulary. Levels are looked up at every line, so that a change of one takes
// effect at once.
package logging

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap/zapcore"
)

// components are the names of Envoy 1.40's loggers, in the order of its list. Those
// of ours are among them; a level may be set for any.
const components = `a2a admin ai_protocol_manager alternate_protocols_cache aws assert backtrace basic_auth cache_filter
client config connection conn_handler compression credential_injector decompression dns dubbo envoy_bug ext_authz ext_proc
rocketmq file filter forward_proxy geolocation grpc happy_eyeballs hc health_checker http http2 hystrix init io jwt json_rpc
kafka key_value_store lua local_rate_limit main matcher mcp misc mongo multi_connection notification oauth2 quic quic_stream
pool rate_limit_quota rbac rds redis router runtime stats secret sse tap testing thrift tracing upstream udp wasm websocket
golang stats_sinks dynamic_modules ip_tagging`

// Off is above every level that is logged at.
const Off = zapcore.FatalLevel + 1

// Levels are the levels of all components. The methods may be called from any
// goroutine.
type Levels struct {
	names []string // set in New, never changed

	now atomic.Pointer[table] // what lines are held to; replaced, never changed
	mu  sync.Mutex            // serializes changes
}

// table is the levels at a time.
type table struct {
	rest zapcore.Level // of a logger that is no component
	each map[string]zapcore.Level
	min  zapcore.Level
}

// New makes the levels, all at l.
func New(l zapcore.Level) *Levels {
	ls := &Levels{names: strings.Fields(components)}
	ls.SetAll(l)
	return ls
}

// SetAll sets every component's level.
func (ls *Levels) SetAll(l zapcore.Level) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	t := &table{rest: l, each: make(map[string]zapcore.Level, len(ls.names)), min: l}
	for _, n := range ls.names {
		t.each[n] = l
	}
	ls.now.Store(t)
}

// The ways in which a change is wrong, in Envoy's words.
var (
	errLevel = errors.New("unknown logger level")
	errName  = errors.New("unknown logger name")
	errEmpty = errors.New("empty logger name or empty logger level")
)

// Set sets levels from a list in the form of --component-log-level,
// `upstream:debug,config:trace`; all of it or nothing.
func (ls *Levels) Set(list string) error {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	old := ls.now.Load()
	t := &table{rest: old.rest, each: make(map[string]zapcore.Level, len(old.each)), min: old.rest}
	for n, l := range old.each {
		t.each[n] = l
	}
	for part := range strings.SplitSeq(list, ",") {
		name, level, _ := strings.Cut(part, ":")
		if name == "" || level == "" {
			return errEmpty
		}
		l, err := Parse(level)
		if err != nil {
			return err
		}
		if _, known := t.each[name]; !known {
			return errName
		}
		t.each[name] = l
	}
	for _, l := range t.each {
		t.min = min(t.min, l)
	}
	ls.now.Store(t)
	return nil
}

// Each visits the components in Envoy's order.
func (ls *Levels) Each(visit func(name, level string)) {
	t := ls.now.Load()
	for _, n := range ls.names {
		visit(n, Name(t.each[n]))
	}
}

// enabled tells whether a line of a logger is written. Of a name with dots the
// last part is the component.
func (ls *Levels) enabled(logger string, l zapcore.Level) bool {
	t := ls.now.Load()
	if l < t.min {
		return false
	}
	if at, ok := t.each[logger[strings.LastIndexByte(logger, '.')+1:]]; ok {
		return l >= at
	}
	return l >= t.rest
}

// names of levels, as Envoy prints them. There is nothing below debug in zap's
// scale that our code writes at, but trace and debug stay apart.
var names = []struct {
	name  string
	level zapcore.Level
}{
	{"trace", zapcore.DebugLevel - 1},
	{"debug", zapcore.DebugLevel},
	{"info", zapcore.InfoLevel},
	{"warning", zapcore.WarnLevel},
	{"error", zapcore.ErrorLevel},
	{"critical", zapcore.DPanicLevel},
	{"off", Off},
}

// Parse reads Envoy's name of a level.
func Parse(name string) (zapcore.Level, error) {
	if name == "warn" {
		name = "warning"
	}
	for _, n := range names {
		if n.name == name {
			return n.level, nil
		}
	}
	return 0, errLevel
}

// Name is Envoy's name of a level.
func Name(l zapcore.Level) string {
	i := slices.IndexFunc(names, func(n struct {
		name  string
		level zapcore.Level
	},
	) bool {
		return l <= n.level
	})
	if i < 0 {
		return "off"
	}
	return names[i].name
}

// Core makes a core write only what the levels let through.
func (ls *Levels) Core(c zapcore.Core) zapcore.Core { return &core{c, ls} }

type core struct {
	zapcore.Core
	levels *Levels
}

// Enabled implements zapcore.LevelEnabler: some component logs at this level.
func (c *core) Enabled(l zapcore.Level) bool { return l >= c.levels.now.Load().min }

// With implements zapcore.Core.
func (c *core) With(f []zapcore.Field) zapcore.Core { return &core{c.Core.With(f), c.levels} }

// Check implements zapcore.Core.
func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.levels.enabled(e.LoggerName, e.Level) {
		return ce.AddCore(e, c.Core)
	}
	return ce
}

// Usage is what is wrong with a level, for the command line.
func Usage(flag, value string) error {
	return fmt.Errorf("--%s %q: want trace, debug, info, warning, error, critical or off", flag, value)
}
