package h2

import "time"

// guard counts what a peer may do only so often. It belongs to the reading
// goroutine; windowUpdate and reset are called with the lock held.
type guard struct {
	empties    int // consecutive frames that carry and end nothing
	priorities int
	updates    int
	opened     int // streams ever
	resets     int
	since      time.Time // when the window of resets began
}

// full notes a frame that carried or ended something.
func (g *guard) full() { g.empties = 0 }

// empty notes a frame with n bytes that ends nothing.
func (g *guard) empty(c *core, n int) error {
	if n > 0 {
		g.empties = 0
		return nil
	}
	g.empties++
	if most := c.o.MaxConsecutiveEmptyFrames; most >= 0 && g.empties > most {
		return flood(c.st.EmptyFramesFlood, "too many consecutive frames with an empty payload")
	}
	return nil
}

// priority notes a PRIORITY frame.
func (g *guard) priority(c *core) error {
	g.priorities++
	if most := c.o.MaxPriorityFramesPerStream; most >= 0 && g.priorities > most*(1+g.opened) {
		return flood(c.st.PriorityFlood, "too many PRIORITY frames")
	}
	return nil
}

// windowUpdate notes a WINDOW_UPDATE frame. Envoy has the same bound.
func (g *guard) windowUpdate(c *core) error {
	g.updates++
	if most := c.o.MaxWindowUpdatesPerDataFrame; most >= 0 && g.updates > 5+2*(g.opened+most*c.dataSent) {
		return flood(c.st.WindowUpdateFlood, "too many WINDOW_UPDATE frames")
	}
	return nil
}

// blockSize bounds a field block in several frames: a whole list of the largest
// size allowed fits, in frames of a reasonable size, and little more
// (CVE-2024-27316).
func (g *guard) blockSize(c *core, size, frames int) error {
	most := int(c.o.Fields.MaxListSize)
	switch {
	case size > most+frameSize:
		c.st.HeaderOverflow.Inc()
		return flood(c.st.ContinuationFlood, "field block longer than SETTINGS_MAX_HEADER_LIST_SIZE")
	case frames > 16+most/1024:
		return flood(c.st.ContinuationFlood, "too many CONTINUATION frames")
	}
	return nil
}

// reset notes a stream that ended before its response began, by the client's doing.
func (g *guard) reset(c *core) error {
	now := time.Now()
	if now.Sub(g.since) > c.o.ResetWindow {
		g.since, g.resets = now, 0
	}
	g.resets++
	if most := c.o.MaxResetsPerWindow; most >= 0 && g.resets > most {
		return flood(c.st.ResetFlood, "too many streams reset before their response")
	}
	return nil
}
