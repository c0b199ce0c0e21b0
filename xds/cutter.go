package xds

import "bytes"

// cutter goes over JSON from value to value.
type cutter struct {
	data []byte
	at   int
}

func (c *cutter) blank() {
	for c.at < len(c.data) && (c.data[c.at] == ' ' || c.data[c.at] == '\n' || c.data[c.at] == '\t' || c.data[c.at] == '\r') {
		c.at++
	}
}

// take goes over one byte, if it is the next one.
func (c *cutter) take(b byte) bool {
	if c.blank(); c.at < len(c.data) && c.data[c.at] == b {
		c.at++
		return true
	}
	return false
}

// value goes over one value and gives it; empty is none.
func (c *cutter) value() []byte {
	c.blank()
	start, depth := c.at, 0
	for c.at < len(c.data) {
		switch b := c.data[c.at]; b {
		case '"':
			if !c.text() {
				return nil
			}
			if depth == 0 {
				return c.data[start:c.at]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return c.data[start:c.at] // it ended before
			}
			if depth--; depth == 0 {
				c.at++
				return c.data[start:c.at]
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return c.data[start:c.at]
			}
		}
		c.at++
	}
	return nil
}

// text goes over a string.
func (c *cutter) text() bool {
	for c.at++; c.at < len(c.data); {
		i := bytes.IndexByte(c.data[c.at:], '"')
		if i < 0 {
			return false
		}
		end := c.at + i
		slashes := 0
		for end-1-slashes >= c.at && c.data[end-1-slashes] == '\\' {
			slashes++
		}
		c.at = end + 1
		if slashes%2 == 0 {
			return true
		}
	}
	return false
}
