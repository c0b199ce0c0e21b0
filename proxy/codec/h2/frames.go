package h2

import (
	"golang.org/x/net/http2"
)

// idle tells whether a stream was never opened, nor was one above it.
func (c *core) idle(id uint32) bool { return id&1 == 0 || id > c.maxID }

// settingsFrame applies the peer's SETTINGS in their order and acknowledges them.
func (c *core) settingsFrame(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.unlock()
	for i := range f.NumSettings() {
		if err := c.setting(f.Setting(i)); err != nil {
			return err
		}
	}
	if !c.peer.seen {
		c.peer.seen = true
		c.side.settled()
		c.note = true
	}
	c.out.settingsAck()
	return nil
}

// setting applies one setting (RFC 9113 §6.5.2, RFC 8441 §3).
func (c *core) setting(s http2.Setting) error {
	switch s.ID {
	case http2.SettingHeaderTableSize:
		c.enc.SetPeerTableSize(s.Val)
	case http2.SettingEnablePush:
		if s.Val > 1 || c.client && s.Val != 0 {
			return connError(http2.ErrCodeProtocol, "ENABLE_PUSH of a forbidden value")
		}
	case http2.SettingMaxConcurrentStreams:
		if s.Val > c.peer.maxStreams {
			c.note = true
		}
		c.peer.maxStreams = s.Val
	case http2.SettingInitialWindowSize:
		if s.Val > maxWindow {
			return connError(http2.ErrCodeFlowControl, "INITIAL_WINDOW_SIZE above 2^31-1")
		}
		return c.initialWindow(int64(s.Val))
	case http2.SettingMaxFrameSize:
		if s.Val < frameSize || s.Val > 1<<24-1 {
			return connError(http2.ErrCodeProtocol, "MAX_FRAME_SIZE out of range")
		}
		c.peer.frame = int(s.Val)
	case http2.SettingEnableConnectProtocol:
		if s.Val > 1 || c.peer.connect && s.Val == 0 {
			return connError(http2.ErrCodeProtocol, "ENABLE_CONNECT_PROTOCOL of a forbidden value")
		}
		c.peer.connect = s.Val == 1
	}
	return nil
}

// initialWindow changes the windows of all open streams (RFC 9113 §6.9.2).
func (c *core) initialWindow(n int64) (err error) {
	delta := n - c.peer.window
	c.peer.window = n
	c.table.each(func(s *half) {
		s.sendWin += delta
		if s.sendWin > maxWindow {
			err = connError(http2.ErrCodeFlowControl, "INITIAL_WINDOW_SIZE puts a window above 2^31-1")
		}
		if delta > 0 {
			s.wcond.Broadcast()
		}
	})
	return err
}

// pingFrame answers a PING, or notes the answer to ours.
func (c *core) pingFrame(f *http2.PingFrame) error {
	c.mu.Lock()
	defer c.unlock()
	if !f.IsAck() {
		c.out.ping(true, f.Data)
		return nil
	}
	if f.Data == pingDrain {
		c.side.pong()
	}
	return nil
}

// priorityFrame checks a PRIORITY frame and forgets it (RFC 9113 §5.3.2).
func (c *core) priorityFrame(f *http2.PriorityFrame) error {
	if err := c.guard.priority(c); err != nil {
		return err
	}
	if f.StreamDep == f.StreamID {
		return &streamError{f.StreamID, http2.ErrCodeProtocol, errSelfDepends}
	}
	return nil
}

// rstFrame ends a stream that the peer reset.
func (c *core) rstFrame(id uint32, code http2.ErrCode) error {
	if id == 0 {
		return connError(http2.ErrCodeProtocol, "RST_STREAM on stream 0")
	}
	c.mu.Lock()
	defer c.unlock()
	s := c.table.get(id)
	if s == nil {
		if c.idle(id) {
			return connError(http2.ErrCodeProtocol, "RST_STREAM on an idle stream")
		}
		c.endLate(id, buriedByPeer)
		return nil
	}
	c.st.RxReset.Inc()
	early := s.headAt == 0
	c.closed.add(id, buriedByPeer)
	c.reset(s, remoteReset(code))
	if early && !c.client {
		return c.guard.reset(c)
	}
	return nil
}

// windowUpdateFrame lets us send more.
func (c *core) windowUpdateFrame(id uint32, n int64) error {
	c.mu.Lock()
	defer c.unlock()
	if err := c.guard.windowUpdate(c); err != nil {
		return err
	}
	if id == 0 {
		if n == 0 {
			return connError(http2.ErrCodeProtocol, "WINDOW_UPDATE of zero")
		}
		if c.sendWin += n; c.sendWin > maxWindow {
			return connError(http2.ErrCodeFlowControl, "connection window above 2^31-1")
		}
		c.out.wakeBlocked(blockedAtOnce)
		return nil
	}
	s := c.table.get(id)
	switch {
	case s == nil && c.idle(id):
		return connError(http2.ErrCodeProtocol, "WINDOW_UPDATE on an idle stream")
	case s == nil:
		return nil
	case n == 0:
		return &streamError{id, http2.ErrCodeProtocol, errZeroIncrement}
	}
	if s.sendWin += n; s.sendWin > maxWindow {
		return &streamError{id, http2.ErrCodeFlowControl, errWindowTooBig}
	}
	s.wcond.Broadcast()
	return nil
}
