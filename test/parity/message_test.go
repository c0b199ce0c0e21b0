package parity

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A message is an HTTP/1 request or response as it was on the wire.
type message struct {
	first    string // its start line
	fields   [][2]string
	framing  string // "", "length", "chunked", "close"
	body     []byte
	trailers [][2]string
	broken   string // why it is not whole
}

func (m *message) get(name string) string {
	for _, f := range m.fields {
		if strings.EqualFold(f[0], name) {
			return f[1]
		}
	}
	return ""
}

func (m *message) status() int {
	_, rest, _ := strings.Cut(m.first, " ")
	code, _, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(code)
	return n
}

// readHead reads a start line and fields. It gives io.EOF when nothing came.
func readHead(r *bufio.Reader) (*message, error) {
	m := new(message)
	l, err := readLine(r)
	if m.first = l; err != nil {
		if l == "" {
			return nil, err
		}
		m.broken = "the start line does not end"
		return m, nil
	}
	m.fields, err = readFields(r)
	if err != nil {
		m.broken = "the head does not end"
	}
	return m, nil
}

func readFields(r *bufio.Reader) ([][2]string, error) {
	var fields [][2]string
	for {
		l, err := readLine(r)
		if err != nil || l == "" {
			return fields, err
		}
		name, value, _ := strings.Cut(l, ":")
		fields = append(fields, [2]string{name, strings.TrimLeft(value, " ")})
	}
}

func readLine(r *bufio.Reader) (string, error) {
	l, err := r.ReadString('\n')
	return strings.TrimSuffix(strings.TrimSuffix(l, "\n"), "\r"), err
}

// readRequestBody reads what a request's framing says.
func (m *message) readRequestBody(r *bufio.Reader) { m.readBody(r, "") }

// readResponseBody reads what a response's framing says.
func (m *message) readResponseBody(r *bufio.Reader, method string) {
	n := m.status()
	if method == "HEAD" || n/100 == 1 || n == 204 || n == 304 || m.broken != "" {
		return
	}
	m.readBody(r, "close")
}

func (m *message) readBody(r *bufio.Reader, otherwise string) {
	if m.broken != "" {
		return
	}
	var err error
	switch {
	case strings.EqualFold(m.get("transfer-encoding"), "chunked"):
		m.framing = "chunked"
		err = m.readChunks(r)
	case m.get("content-length") != "":
		m.framing = "length"
		n, _ := strconv.Atoi(m.get("content-length"))
		m.body = make([]byte, n)
		n, err = io.ReadFull(r, m.body)
		m.body = m.body[:n]
	case otherwise == "close":
		m.framing = "close"
		m.body, err = io.ReadAll(r)
	}
	if err != nil {
		m.broken = "the body does not end"
	}
}

func (m *message) readChunks(r *bufio.Reader) error {
	for {
		l, err := readLine(r)
		if err != nil {
			return err
		}
		l, _, _ = strings.Cut(l, ";")
		n, err := strconv.ParseUint(l, 16, 31)
		if err != nil {
			return err
		}
		if n == 0 {
			m.trailers, err = readFields(r)
			return err
		}
		at := len(m.body)
		m.body = append(m.body, make([]byte, n)...)
		got, err := io.ReadFull(r, m.body[at:])
		if err != nil {
			m.body = m.body[:at+got]
			return err
		}
		if _, err = readLine(r); err != nil {
			return err
		}
	}
}

// lines tells a message. Unless exact, field names are in lower case and sorted,
// and values of one name stay in their order.
func (m *message) lines(mark string, exact bool) []string {
	out := []string{mark + " " + printable(m.first)}
	out = append(out, fieldLines(mark, m.fields, exact)...)
	if len(m.body) > 0 {
		out = append(out, fmt.Sprintf("%s   [%s] %s", mark, m.framing, short(m.body)))
	}
	for _, l := range fieldLines(mark, m.trailers, exact) {
		out = append(out, l+" [trailer]")
	}
	if m.broken != "" {
		out = append(out, mark+"   ["+m.broken+"]")
	}
	return out
}

func fieldLines(mark string, fields [][2]string, exact bool) []string {
	var out []string
	fields = slices.Clone(fields)
	if !exact {
		for i := range fields {
			fields[i][0] = strings.ToLower(fields[i][0])
		}
		slices.SortStableFunc(fields, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	}
	for _, f := range fields {
		out = append(out, mark+"   "+short([]byte(f[0]+": "+f[1])))
	}
	return out
}

// printable escapes what a golden file should not hold.
func printable(s string) string {
	q := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

func short(b []byte) string {
	if len(b) > 400 {
		return fmt.Sprintf("%s… %d bytes", printable(string(b[:40])), len(b))
	}
	return printable(string(b))
}
