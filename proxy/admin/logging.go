package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger is the name of the one logger there is.
const logger = "weir"

const loggingUsage = "\nusage: /logging?level=<level> (change the level)\n" +
	"usage: /logging?paths=" + logger + ":<level>\n" +
	"levels: trace debug info warning error critical off\n"

// logging shows the log's level, after changing it if asked to.
func (s *Server) logging(p *reply, _ *http.Request, q url.Values) {
	if s.o.Level == (zap.AtomicLevel{}) {
		unable(p, "logging")
		return
	}
	name, err := wanted(q)
	if err == nil && name != "" {
		var l zapcore.Level
		if l, err = parseLevel(name); err == nil {
			s.o.Level.SetLevel(l)
			s.o.Log.Info("log level set by admin", zap.String("level", name))
		}
	}
	if err != nil {
		p.text(http.StatusBadRequest, "error: "+err.Error()+"\n"+loggingUsage)
		return
	}
	p.text(http.StatusOK, fmt.Sprintf("active loggers:\n  %s: %s\n", logger, levelName(s.o.Level.Level())))
}

// wanted is the level that a request asks for, "" for none.
func wanted(q url.Values) (string, error) {
	switch {
	case len(q) == 0:
		return "", nil
	case len(q) > 1:
		return "", fmt.Errorf("invalid number of parameters")
	case q.Has("level"):
		return q.Get("level"), nil
	case q.Has(logger):
		return q.Get(logger), nil
	case q.Has("paths"):
		level := ""
		for part := range strings.SplitSeq(q.Get("paths"), ",") {
			name, l, _ := strings.Cut(part, ":")
			if name != logger {
				return "", fmt.Errorf("unknown logger name %q", name)
			}
			if l == "" {
				return "", fmt.Errorf("empty logger level")
			}
			level = l
		}
		return level, nil
	}
	return "", fmt.Errorf("unknown logger name")
}

// parseLevel maps Envoy's names. There is nothing below debug, so that trace is
// debug.
func parseLevel(name string) (zapcore.Level, error) {
	switch name {
	case "trace", "debug":
		return zapcore.DebugLevel, nil
	case "info":
		return zapcore.InfoLevel, nil
	case "warning", "warn":
		return zapcore.WarnLevel, nil
	case "error":
		return zapcore.ErrorLevel, nil
	case "critical":
		return zapcore.DPanicLevel, nil
	case "off":
		return zapcore.FatalLevel + 1, nil
	}
	return 0, fmt.Errorf("unknown logger level %q", name)
}

func levelName(l zapcore.Level) string {
	switch {
	case l <= zapcore.DebugLevel:
		return "debug"
	case l == zapcore.InfoLevel:
		return "info"
	case l == zapcore.WarnLevel:
		return "warning"
	case l == zapcore.ErrorLevel:
		return "error"
	case l <= zapcore.FatalLevel:
		return "critical"
	}
	return "off"
}
