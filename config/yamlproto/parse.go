package yamlproto

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parse reads the text into one node per document. JSON has its own reader: YAML's understands neither tabs between tokens nor
// surrogate pairs in escapes.
func (d *decoder) parse() []*yaml.Node {
	data := bytes.TrimPrefix(d.src.data, []byte("\xef\xbb\xbf"))
	if t := bytes.TrimLeft(data, " \t\r\n"); len(t) > 0 && (t[0] == '{' || t[0] == '[') && json.Valid(data) {
		return []*yaml.Node{parseJSON(data)}
	}
	docs, err := parseYAML(data)
	if err != nil {
		d.syntaxError(err)
	}
	return docs
}

// parseYAML returns the root node of each document that is not empty.
func parseYAML(data []byte) (docs []*yaml.Node, err error) {
	defer func() {
		// The YAML library signals its own mistakes by panicking; a configuration file must not be able to reach one.
		if p := recover(); p != nil {
			docs, err = nil, fmt.Errorf("yaml: %v", p)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		switch err := dec.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return docs, err
		}
		if len(doc.Content) > 0 {
			docs = append(docs, doc.Content[0])
		}
	}
}

// syntaxError turns the library's text ("yaml: line 3: did not find expected key") into a positioned error. The library knows
// no column and often the line where the enclosing block began; so the line is looked for here, and its first character stands
// for the column.
func (d *decoder) syntaxError(err error) {
	msg, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if m := yamlLine.FindStringSubmatchIndex(msg); m != nil {
		if n, err := strconv.Atoi(msg[m[2]:m[3]]); err == nil {
			line, msg = n, msg[:m[0]]+msg[m[1]:]
		}
	}
	if n := brokenLine(d.src.data); n > 0 {
		line = n
	}
	// A text that ends too early is reported one line behind its end.
	text := d.src.line(line)
	for line > 1 && text == "" {
		line--
		text = d.src.line(line)
	}
	col := 1 + utf8.RuneCountInString(text) - utf8.RuneCountInString(strings.TrimLeft(text, " \t"))
	e := &Error{Pos: Position{d.src.file, line, col}, Message: "not valid YAML: " + msg, Source: text}
	if longBase64.MatchString(text) {
		e.Source = "[a long word, which may be a key, is not shown]"
	}
	if i := strings.IndexByte(text, '\t'); i >= 0 && strings.TrimLeft(text[:i], " ") == "" {
		e.Suggestion = "YAML is indented with spaces, this line has a tab"
	}
	d.errs = append(d.errs, e)
}

// brokenLine finds the line that breaks a text: the first after the longest run of lines, from the start, that is YAML by
// itself. 0 means that the text is too long to find out.
func brokenLine(data []byte) int {
	const rounds = 20
	budget := 6 << 20 // bytes to parse again, about a second
	ends := []int{0}  // ends[k] is where the first k lines end
	for i, c := range data {
		if c == '\n' {
			ends = append(ends, i+1)
		}
	}
	if ends[len(ends)-1] < len(data) {
		ends = append(ends, len(data))
	}
	valid := func(k int) bool {
		if budget -= ends[k]; budget < 0 {
			return false
		}
		_, err := parseYAML(data[:ends[k]])
		return err == nil
	}
	good, bad := 0, len(ends)-1
	for range rounds {
		for hi := bad; hi-good > 1; {
			if mid := (good + hi) / 2; valid(mid) {
				good = mid
			} else {
				hi = mid
			}
		}
		// A list or text over several lines is broken before its end and whole behind it: look whether this is one.
		next := 0
		for _, ahead := range [...]int{2, 3, 4, 5, 6, 8, 12, 20, 40, 80} {
			if k := good + ahead; k < bad && valid(k) {
				next = k
				break
			}
		}
		if next == 0 {
			break
		}
		good = next
	}
	if budget < 0 {
		return 0
	}
	return good + 1
}

// longBase64 is what a line of a private key looks like. What a text means that is not YAML is not known, so it is not printed.
var longBase64 = regexp.MustCompile(`[A-Za-z0-9+/_=-]{40}`)

var yamlLine = regexp.MustCompile(`line (\d+): `)
