package h2

import (
	config "github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
)

// OptionsOf takes what is configured; the bounds of time and the limits on field
// sections, which are configured elsewhere, are the caller's to add.
func OptionsOf(c *config.HTTP2) Options {
	return Options{
		HeaderTableSize:              c.TableSize,
		MaxConcurrentStreams:         c.MaxConcurrentStreams,
		InitialStreamWindow:          c.StreamWindow,
		InitialConnWindow:            c.ConnWindow,
		AllowConnect:                 c.AllowConnect,
		StreamErrorOnInvalid:         c.StreamError,
		MaxOutboundFrames:            int(c.MaxOutboundFrames),
		MaxOutboundControlFrames:     int(c.MaxOutboundControlFrames),
		MaxConsecutiveEmptyFrames:    int(c.MaxConsecutiveEmptyFrames),
		MaxPriorityFramesPerStream:   int(c.MaxPriorityFramesPerStream),
		MaxWindowUpdatesPerDataFrame: int(c.MaxWindowUpdatesPerDataFrame),
		Keepalive: Keepalive{
			Interval: c.Keepalive.Interval, Timeout: c.Keepalive.Timeout,
			Jitter: c.Keepalive.Jitter, IdleInterval: c.Keepalive.IdleInterval,
		},
		Fields: fields.Limits{},
	}
}
