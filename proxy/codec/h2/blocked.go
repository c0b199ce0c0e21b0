package h2

// blockedAtOnce is how many streams are woken when there is room: as many as fill
// the output with frames of the usual size. Each wakes another if it leaves room.
const blockedAtOnce = outputFull / frameSize

// waiting is a queue of streams that wait for what they share: room in the output,
// or the connection's window.
type waiting struct{ first, last *half }

func (w *waiting) push(s *half) {
	if s.queued {
		return
	}
	s.queued, s.after, s.before = true, nil, w.last
	if w.last != nil {
		w.last.after = s
	} else {
		w.first = s
	}
	w.last = s
}

func (w *waiting) remove(s *half) {
	if !s.queued {
		return
	}
	if s.before != nil {
		s.before.after = s.after
	} else {
		w.first = s.after
	}
	if s.after != nil {
		s.after.before = s.before
	} else {
		w.last = s.before
	}
	s.queued, s.before, s.after = false, nil, nil
}

// wakeBlocked wakes up to n streams if there is what they wait for. The lock is held.
func (o *output) wakeBlocked(n int) {
	if o.c.sendWin <= 0 || o.full() {
		return
	}
	for ; n > 0 && o.blocked.first != nil; n-- {
		s := o.blocked.first
		o.blocked.remove(s)
		s.wcond.Broadcast()
	}
}

// unblock takes a stream out of the queue: it ended.
func (o *output) unblock(s *half) {
	if s.queued {
		o.blocked.remove(s)
		o.wakeBlocked(1)
	}
}
