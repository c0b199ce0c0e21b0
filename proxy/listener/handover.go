package listener

// handOver finds the listener of a connection's original destination
// (use_original_dst), which serves it from then on, with its own listener filters,
// and does not hand it on; that one may have no socket of its own (bind_to_port:
// false). nil says that there is none, and that the connection stays.
func (l *Listener) handOver(s *session) *Listener {
	if !s.g.m.UseOriginalDst || l.o.Find == nil || s.given || !s.Info.Dest.IsValid() {
		return nil
	}
	to := l.o.Find(s.Info.Dest)
	if to == nil || to == l || !to.expect() {
		return nil
	}
	s.given = true
	return to
}

// expect readies the listener for a connection that another one accepted; false
// says that it takes none.
func (l *Listener) expect() bool {
	l.stop.Lock()
	defer l.stop.Unlock()
	if l.ctx == nil || l.hasStopped() {
		return false
	}
	l.serving.Add(1)
	l.active.Add(1)
	return true
}
