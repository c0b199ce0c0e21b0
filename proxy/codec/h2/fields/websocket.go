package fields

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 §4.2.2 asks for it; it protects nothing
	"encoding/base64"

	"github.com/weirproxy/weir/proxy/header"
)

var (
	webSocketKey    = header.Intern("sec-websocket-key")
	webSocketAccept = header.Intern("sec-websocket-accept")
)

// ToUpgrade makes an extended CONNECT (RFC 8441) the request for an upgrade that
// it would have been in HTTP/1.1 (RFC 9110 §7.8). key is the Sec-WebSocket-Key that
// HTTP/2 has no use for; empty for other protocols than WebSocket.
func ToUpgrade(h *header.Headers, key string) {
	h.SetString(header.Method, "GET")
	h.Set(header.Upgrade, h.Value(header.Protocol))
	h.Del(header.Protocol)
	if key != "" {
		h.SetString(webSocketKey, key)
	}
}

// ToExtendedConnect is the way back: it makes an HTTP/1.1 request for an upgrade an
// extended CONNECT. It gives the key the answer of an HTTP/1.1 server would have to
// prove knowledge of.
func ToExtendedConnect(h *header.Headers) (key []byte) {
	h.SetString(header.Method, "CONNECT")
	h.Set(header.Protocol, h.Value(header.Upgrade))
	h.Del(header.Upgrade)
	key = h.Value(webSocketKey)
	h.Del(webSocketKey)
	return key
}

// Upgraded makes a 2xx to an extended CONNECT the 101 that an HTTP/1.1 client
// waits for; key is its own.
func Upgraded(h *header.Headers, protocol, key []byte) {
	h.SetString(header.Status, "101")
	h.Set(header.Upgrade, protocol)
	h.Del(header.ContentLength) // what follows is no body
	if len(key) > 0 {
		h.SetString(webSocketAccept, Accept(string(key)))
	}
}

// Connected makes a 101 the 200 that a client of HTTP/2 waits for.
func Connected(h *header.Headers) {
	h.SetString(header.Status, "200")
	h.Del(header.Upgrade)
	h.Del(header.ContentLength)
	h.Del(webSocketAccept)
}

// Accepts tells whether a 101 proves that its server read the key; an empty key
// asks for no proof (RFC 6455 §4.1).
func Accepts(h *header.Headers, key string) bool {
	return key == "" || string(h.Value(webSocketAccept)) == Accept(key)
}

// NewKey makes a Sec-WebSocket-Key (RFC 6455 §4.1).
func NewKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// Accept gives the Sec-WebSocket-Accept of a key (RFC 6455 §4.2.2).
func Accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec
	return base64.StdEncoding.EncodeToString(sum[:])
}
