package rig

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/net/http2"
)

// Load sends requests as a client, several at a time, until the connection says that
// it goes away; every one must be answered with 200, and then the connection end. It
// calls under once some were answered.
func (h *H2) Load(some int, under func()) error {
	const abreast = 8
	get := []byte{0x82, 0x86, 0x84, 0x41, 0x01, 'a'} // GET http://a/, out of HPACK's own table
	next, open, answered := uint32(1), 0, 0
	away := false
	for !away || open > 0 {
		for !away && open < abreast {
			if err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: next, BlockFragment: get, EndHeaders: true, EndStream: true}); err != nil {
				return fmt.Errorf("stream %d: %w", next, err)
			}
			next += 2
			open++
		}
		f, err := h.Next()
		if err != nil {
			return fmt.Errorf("%d answered, %d open: %w", answered, open, err)
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo || f.LastStreamID < next-2 {
				return fmt.Errorf("GOAWAY %v, %d of %d", f.ErrCode, f.LastStreamID, next-2)
			}
			away = true
		case *http2.RSTStreamFrame:
			return fmt.Errorf("stream %d: RST %v", f.StreamID, f.ErrCode)
		case *http2.MetaHeadersFrame:
			if s := f.PseudoValue("status"); s != "200" {
				return fmt.Errorf("stream %d: %s", f.StreamID, s)
			}
		}
		if endsStream(f) {
			open--
			if answered++; answered == some {
				under()
			}
		}
	}
	// The connection ends without a word more, but for the second GOAWAY.
	for {
		f, err := h.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if g, ok := f.(*http2.GoAwayFrame); !ok || g.ErrCode != http2.ErrCodeNo {
			return fmt.Errorf("%v after all was answered", f)
		}
	}
}

func endsStream(f http2.Frame) bool {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return f.StreamEnded()
	case *http2.DataFrame:
		return f.StreamEnded()
	}
	return false
}
