package accesslog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// sniffing is the namespace of the metadata that there is: what was learned from the first bytes of a connection, beyond
// what Envoy has operators for. Envoy accepts the same operators, and prints "-".
const sniffing = "weir.sniffing"

// The keys of the namespace, in op.flag.
const (
	metaNameCheck uint8 = iota
	metaECH
	metaFirstSpeaker
	metaServerProtocol
	metaNote
)

var metaKeys = [...]string{
	metaNameCheck: "name_check", metaECH: "ech", metaFirstSpeaker: "first_speaker", metaServerProtocol: "server_protocol", metaNote: "note",
}

// metadata is DYNAMIC_METADATA(weir.sniffing:KEY).
func metadata(dst []byte, o *op, c *conn.Conn, s *stream.Stream) ([]byte, kind) {
	i := &c.Info
	switch o.flag {
	case metaNameCheck:
		v := i.NameCheck
		if s != nil && s.Info.NameCheck != info.NameUnchecked {
			v = s.Info.NameCheck
		}
		return appendText(dst, v)
	case metaECH:
		if i.ECH {
			return append(dst, "outer"...), text
		}
		return dst, none
	case metaFirstSpeaker:
		return appendText(dst, i.FirstSpeaker)
	case metaServerProtocol:
		return appendText(dst, i.ServerProtocol)
	}
	return appendText(dst, i.SniffNote)
}

func metadataArgs(o *op, args string) error {
	space, key, _ := strings.Cut(args, ":")
	if space != sniffing {
		return fmt.Errorf("valid in Envoy, not supported here: namespace %s (supported: %s)", space, sniffing)
	}
	for f, k := range metaKeys {
		if k == key {
			o.flag = uint8(f)
			return nil
		}
	}
	return errors.New("unknown key of " + sniffing + ", wanted one of " + strings.Join(metaKeys[:], ", "))
}
