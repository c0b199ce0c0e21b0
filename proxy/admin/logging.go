package admin

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/proxy/logging"
)

// loggingUsage is Envoy's.
const loggingUsage = "\nusage: /logging?<name>=<level> (change single level)\n" +
	"usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n" +
	"usage: /logging?level=<level> (change all levels)\n" +
	"usage: /logging?group=<group_name>:<level> (change group of loggers)\n" +
	"levels: trace debug info warning error critical off \n"

// logging shows the levels of all components, after changing some if asked to.
func (s *Server) logging(p *reply, _ *http.Request, q url.Values) {
	if s.o.Levels == nil {
		unable(p, "logging")
		return
	}
	code, head := http.StatusOK, ""
	if err := setLevels(s.o.Levels, q); err != nil {
		code, head = http.StatusBadRequest, "error: "+err.Error()+"\n"+loggingUsage
	} else if len(q) > 0 {
		s.o.Log.Info("log levels set by admin", zap.String("query", q.Encode()))
	}
	var b strings.Builder
	b.WriteString(head + "active loggers:\n")
	s.o.Levels.Each(func(name, level string) { b.WriteString("  " + name + ": " + level + "\n") })
	b.WriteString("\n")
	p.text(code, b.String())
}

// setLevels changes what a request asks for. Errors are in Envoy's words.
func setLevels(ls *logging.Levels, q url.Values) error {
	switch {
	case len(q) == 0:
		return nil
	case len(q) > 1:
		return errors.New("invalid number of parameters")
	case q.Has("group"):
		return errors.New("group parameter requires fine-grain logging to be enabled")
	case q.Has("level"):
		if q.Get("level") == "" {
			return nil
		}
		l, err := logging.Parse(q.Get("level"))
		if err == nil {
			ls.SetAll(l)
		}
		return err
	case q.Has("paths"):
		if q.Get("paths") == "" {
			return nil
		}
		return ls.Set(q.Get("paths"))
	}
	for name, level := range q {
		return ls.Set(name + ":" + level[0])
	}
	return nil
}
