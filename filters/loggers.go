package filters

import (
	"fmt"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/stream"
)

// MakeLoggers builds access loggers with their filters.
func MakeLoggers(logs []core.AccessLog, bc *BuildContext) ([]AccessLogger, error) {
	var out []AccessLogger
	for i, p := range logs {
		a, err := makeLogger(&p, bc)
		if err != nil {
			return nil, fmt.Errorf("access_log[%d] %q: %w", i, p.Name, err)
		}
		out = append(out, a)
	}
	return out, nil
}

func makeLogger(p *core.AccessLog, bc *BuildContext) (AccessLogger, error) {
	v, err := Make(p.Parsed, bc)
	if err != nil {
		return nil, err
	}
	a, ok := v.(AccessLogger)
	if !ok {
		return nil, fmt.Errorf("%s is not an access logger", p.Factory.Name)
	}
	if p.Filter == nil {
		return a, nil
	}
	if v, err = Make(*p.Filter, bc); err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	f, ok := v.(LogFilter)
	if !ok {
		return nil, fmt.Errorf("filter: %s is not a filter of access logs", p.Filter.Factory.Name)
	}
	return filtered{f, a}, nil
}

// filtered logs what its filter lets through.
type filtered struct {
	filter LogFilter
	to     AccessLogger
}

// Log implements AccessLogger.
func (f filtered) Log(c *conn.Conn, s *stream.Stream) {
	if f.filter.Logs(c, s) {
		f.to.Log(c, s)
	}
}
