package admin

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The content types, as Envoy spells them.
const (
	typeText = "text/plain; charset=UTF-8"
	typeJSON = "application/json"
	typeHTML = "text/html; charset=UTF-8"
)

// serverName is the `server` of every answer, as of those of the data path.
const serverName = "weir"

// reply writes one answer.
type reply struct {
	w http.ResponseWriter
}

// head sends the status with Envoy's headers; body is what to write to.
func (p *reply) head(code int, contentType string) (body io.Writer) {
	h := p.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache, max-age=0")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Server", serverName)
	p.w.WriteHeader(code)
	return p.w
}

// text answers with text. What cannot be written is the reader's loss.
func (p *reply) text(code int, s string) { _, _ = io.WriteString(p.head(code, typeText), s) }

// bytes answers with what an endpoint made.
func (p *reply) bytes(contentType string, b []byte) {
	_, _ = p.head(http.StatusOK, contentType).Write(b)
}

// message answers with a proto as Envoy prints one.
func (p *reply) message(m proto.Message, unset bool) {
	b, err := printProto(m, unset)
	if err != nil {
		p.text(http.StatusInternalServerError, err.Error()+"\n")
		return
	}
	p.bytes(typeJSON, b)
}

// value answers with a Go value as JSON.
func (p *reply) value(v any) {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		p.text(http.StatusInternalServerError, err.Error()+"\n")
		return
	}
	p.bytes(typeJSON, append(b, '\n'))
}

// printProto prints a message with the fields' own names, 64-bit integers as
// strings and an indent of one space. protojson's own white space differs from
// build to build on purpose, so it is set anew.
func printProto(m proto.Message, unset bool) ([]byte, error) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: unset}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", " "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
