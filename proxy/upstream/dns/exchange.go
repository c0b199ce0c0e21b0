package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// udpSize is the answer size we say we take (EDNS0, RFC 6891): what fits one
// packet on every path (DNS flag day 2020).
const udpSize = 1232

// maxMessage is the longest message there can be.
const maxMessage = 64 << 10

// exchange puts a question to one server: over UDP, and over TCP when the answer
// was cut.
func (r *Resolver) exchange(ctx context.Context, c *Config, server netip.AddrPort, q dnsmessage.Question) ([]netip.Addr, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	for _, network := range []string{"udp", "tcp"} {
		msg, err := r.send(ctx, network, server, q)
		if err != nil {
			return nil, 0, err
		}
		addrs, ttl, cut, err := parse(msg, q)
		if !cut || network == "tcp" {
			return addrs, ttl, err
		}
	}
	return nil, 0, errors.New("truncated answer over TCP")
}

func (r *Resolver) send(ctx context.Context, network string, server netip.AddrPort, q dnsmessage.Question) ([]byte, error) {
	id, query, err := question(q)
	if err != nil {
		return nil, err
	}
	conn, err := r.dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		return overTCP(conn, id, query, q)
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buf := make([]byte, maxMessage)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		// Anything that does not answer our question is somebody else's, or forged.
		if answers(buf[:n], id, q) {
			return buf[:n], nil
		}
	}
}

func overTCP(conn net.Conn, id uint16, query []byte, q dnsmessage.Question) ([]byte, error) {
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(query)))
	if _, err := conn.Write(append(framed, query...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, msg); err != nil {
		return nil, err
	}
	if !answers(msg, id, q) {
		return nil, errors.New("answer to another question")
	}
	return msg, nil
}

// question makes a query with a random id.
func question(q dnsmessage.Question) (id uint16, msg []byte, err error) {
	var r [2]byte
	_, _ = rand.Read(r[:]) // never fails
	id = binary.BigEndian.Uint16(r[:])
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	b.EnableCompression()
	var opt dnsmessage.ResourceHeader
	if err := opt.SetEDNS0(udpSize, dnsmessage.RCodeSuccess, false); err != nil {
		return 0, nil, err
	}
	for _, step := range []func() error{
		b.StartQuestions,
		func() error { return b.Question(q) },
		b.StartAdditionals,
		func() error { return b.OPTResource(opt, dnsmessage.OPTResource{}) },
	} {
		if err := step(); err != nil {
			return 0, nil, err
		}
	}
	msg, err = b.Finish()
	return id, msg, err
}

// answers tells whether a message is the response to our question.
func answers(msg []byte, id uint16, q dnsmessage.Question) bool {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || !h.Response || h.ID != id {
		return false
	}
	got, err := p.Question()
	return err == nil && got.Type == q.Type && got.Class == q.Class && strings.EqualFold(got.Name.String(), q.Name.String())
}

// parse reads the addresses out of a response. cut says that it was truncated.
func parse(msg []byte, q dnsmessage.Question) (addrs []netip.Addr, ttl time.Duration, cut bool, err error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil {
		return nil, 0, false, err
	}
	if h.Truncated {
		return nil, 0, true, nil
	}
	if err := p.SkipAllQuestions(); err != nil {
		return nil, 0, false, err
	}
	switch h.RCode {
	case dnsmessage.RCodeSuccess, dnsmessage.RCodeNameError:
	default:
		return nil, 0, false, fmt.Errorf("server answered %s", strings.TrimPrefix(h.RCode.String(), "RCode"))
	}
	least := ^uint32(0)
	for {
		rh, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil {
			return nil, 0, false, err
		}
		a, ok, err := record(&p, rh, q.Type)
		if err != nil {
			return nil, 0, false, err
		}
		// A CNAME on the way bounds the answer's life as well.
		if rh.Type == q.Type || rh.Type == dnsmessage.TypeCNAME {
			least = min(least, rh.TTL)
		}
		if ok {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) > 0 {
		return addrs, seconds(least), false, nil
	}
	ttl = negativeTTL(&p)
	if h.RCode == dnsmessage.RCodeNameError {
		return nil, ttl, false, ErrNoSuchName
	}
	return nil, ttl, false, ErrNoAddress
}

// record reads one record of the answer section.
func record(p *dnsmessage.Parser, h dnsmessage.ResourceHeader, want dnsmessage.Type) (netip.Addr, bool, error) {
	switch {
	case h.Type == dnsmessage.TypeA && want == dnsmessage.TypeA:
		r, err := p.AResource()
		return netip.AddrFrom4(r.A), err == nil, err
	case h.Type == dnsmessage.TypeAAAA && want == dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		return netip.AddrFrom16(r.AAAA), err == nil, err
	}
	return netip.Addr{}, false, p.SkipAnswer()
}

// negativeTTL is how long a negative answer holds (RFC 2308 §5); 0 unknown.
func negativeTTL(p *dnsmessage.Parser) time.Duration {
	for {
		h, err := p.AuthorityHeader()
		if err != nil {
			return 0
		}
		if h.Type == dnsmessage.TypeSOA {
			soa, err := p.SOAResource()
			if err != nil {
				return 0
			}
			return seconds(min(h.TTL, soa.MinTTL))
		}
		if err := p.SkipAuthority(); err != nil {
			return 0
		}
	}
}

// seconds converts a TTL; one with the top bit set counts as 0 (RFC 2181 §8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}
