package tlsctx

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"time"

	"github.com/weirproxy/weir/config/secret"
)

// tickets sets how sessions are resumed.
func (s *Server) tickets(cfg *tls.Config, keys []secret.Bytes) {
	cfg.SessionTicketsDisabled = s.cfg.NoTickets
	if s.cfg.NoTickets {
		return
	}
	from := s.outer // whose keys hold
	if len(keys) > 0 {
		all := make([][32]byte, len(keys))
		for i, k := range keys {
			all[i] = sha256.Sum256(k.Reveal())
		}
		cfg.SetSessionTicketKeys(all)
		from = cfg
	}
	if d := s.cfg.SessionTimeout; d > 0 {
		limitSessions(cfg, from, d)
	}
}

// limitSessions lets sessions be resumed no longer than d, by a time in the ticket; Go itself allows seven days. keys has the ticket
// keys.
func limitSessions(cfg, keys *tls.Config, d time.Duration) {
	cfg.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ss.Extra = append(ss.Extra, binary.BigEndian.AppendUint64([]byte(ticketTime), uint64(time.Now().Unix())))
		return keys.EncryptTicket(cs, ss)
	}
	cfg.UnwrapSession = func(id []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := keys.DecryptTicket(id, cs)
		if err != nil || ss == nil {
			return nil, err
		}
		for _, e := range ss.Extra {
			if len(e) == len(ticketTime)+8 && string(e[:len(ticketTime)]) == ticketTime {
				made := time.Unix(int64(binary.BigEndian.Uint64(e[len(ticketTime):])), 0)
				if time.Since(made) < d {
					return ss, nil
				}
			}
		}
		return nil, nil
	}
}

// ticketTime marks the time in a ticket among what else may be in it.
const ticketTime = "weir.time:"
