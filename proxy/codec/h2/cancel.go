package h2

import "golang.org/x/net/http2"

// Cancel resets a stream with CANCEL and has whoever serves it notice, as if the client had left; false says that there is no such
// stream. It may be called from any goroutine.
func (s *Server) Cancel(id uint32) bool {
	s.mu.Lock()
	defer s.unlock()
	h := s.table.get(id)
	if h == nil {
		return false
	}
	s.rst(h, http2.ErrCodeCancel, localReset(http2.ErrCodeCancel))
	s.out.kick()
	return true
}
