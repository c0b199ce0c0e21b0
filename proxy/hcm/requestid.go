package hcm

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stream"
)

// requestID makes sure that the request has an id as configured, and derives the
// request's random number from an id that came with it: a request keeps its side
// of a percentage wherever it is seen again (Envoy: request_id_extension, uuid).
func (m *Manager) requestID(s *stream.Stream) {
	h := &s.Request
	id, ok := h.Get(header.XRequestID)
	if ok && s.EdgeRequest && !m.cfg.PreserveExternalRequestID && m.cfg.GenerateRequestID {
		ok = false
	}
	switch {
	case ok:
		s.SetRand(hashID(id))
	case m.cfg.GenerateRequestID:
		var b [36]byte
		newID(&b)
		h.Set(header.XRequestID, b[:])
		s.SetRand(hashID(b[:]))
	}
}

// newID makes a random UUID (RFC 9562 §5.4), from a generator that is fast and
// not secret: an id is no credential.
func newID(b *[36]byte) {
	var u [16]byte
	binary.LittleEndian.PutUint64(u[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(u[8:], rand.Uint64())
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	hex.Encode(b[0:8], u[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], u[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], u[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], u[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], u[10:16])
}

// hashID is FNV-1a with a final mix, so that ids that differ little draw apart.
func hashID(id []byte) uint64 {
	x := uint64(14695981039346656037)
	for _, c := range id {
		x = (x ^ uint64(c)) * 1099511628211
	}
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}
