package xds

import (
	"bytes"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/yamlproto"
	"google.golang.org/protobuf/types/known/anypb"
)

// pieces are the resources of a JSON file as they stand in it, with what each is: those that are the same text the next time are not
// read again, so that one change among thousands costs a look over the file.
type pieces struct {
	texts [][]byte
	anys  []*anypb.Any
}

// newPieces takes a file apart that was read; nil when it cannot be.
func newPieces(data []byte, r *discoveryv3.DiscoveryResponse) *pieces {
	texts, _, ok := cutResources(data)
	if !ok || len(texts) != len(r.Resources) {
		return nil
	}
	return &pieces{texts, r.Resources}
}

// read reads the next content with the help of the last. It gives nil when the whole has to be read, also when there is a mistake:
// what is wrong is told with its place.
func (p *pieces) read(data []byte) (*discoveryv3.DiscoveryResponse, *pieces) {
	if p == nil {
		return nil, nil
	}
	texts, rest, ok := cutResources(data)
	if !ok {
		return nil, nil
	}
	r := &discoveryv3.DiscoveryResponse{}
	if _, err := yamlproto.Unmarshal(rest, r, yamlproto.Options{}); err != nil || len(r.Resources) > 0 {
		return nil, nil
	}
	r.Resources = make([]*anypb.Any, len(texts))
	for i, pair := range core.Align(p.texts, texts) {
		if pair.Same {
			r.Resources[i] = p.anys[pair.Old]
			continue
		}
		a := &anypb.Any{}
		if _, err := yamlproto.Unmarshal(texts[i], a, yamlproto.Options{}); err != nil {
			return nil, nil
		}
		r.Resources[i] = a
	}
	return r, &pieces{texts, r.Resources}
}

// cutResources finds the items of "resources" in a JSON object, and gives the object with none of them. What it takes for an item is
// one if it is valid JSON.
func cutResources(data []byte) (items [][]byte, rest []byte, ok bool) {
	c := cutter{data: data}
	if !c.take('{') {
		return nil, nil, false
	}
	from, to := -1, -1
	for first := true; !c.take('}'); first = false {
		if !first && !c.take(',') {
			return nil, nil, false
		}
		key := c.value()
		if len(key) == 0 || key[0] != '"' || !c.take(':') {
			return nil, nil, false
		}
		if string(key) != `"resources"` {
			if len(c.value()) == 0 {
				return nil, nil, false
			}
			continue
		}
		if from >= 0 || !c.take('[') {
			return nil, nil, false
		}
		from = c.at
		for first := true; !c.take(']'); first = false {
			if !first && !c.take(',') {
				return nil, nil, false
			}
			item := c.value()
			if len(item) == 0 {
				return nil, nil, false
			}
			items = append(items, item)
		}
		to = c.at - 1
	}
	if c.blank(); from < 0 || c.at < len(data) {
		return nil, nil, false
	}
	return items, append(append([]byte{}, data[:from]...), data[to:]...), true
}

// cutter goes over JSON from value to value.
type cutter struct {
	data []byte
	at   int
}

func (c *cutter) blank() {
	for c.at < len(c.data) && (c.data[c.at] == ' ' || c.data[c.at] == '\n' || c.data[c.at] == '\t' || c.data[c.at] == '\r') {
		c.at++
	}
}

// take goes over one byte, if it is the next one.
func (c *cutter) take(b byte) bool {
	if c.blank(); c.at < len(c.data) && c.data[c.at] == b {
		c.at++
		return true
	}
	return false
}

// value goes over one value and gives it; empty is none.
func (c *cutter) value() []byte {
	c.blank()
	start, depth := c.at, 0
	for c.at < len(c.data) {
		switch b := c.data[c.at]; b {
		case '"':
			if !c.text() {
				return nil
			}
			if depth == 0 {
				return c.data[start:c.at]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return c.data[start:c.at] // it ended before
			}
			if depth--; depth == 0 {
				c.at++
				return c.data[start:c.at]
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return c.data[start:c.at]
			}
		}
		c.at++
	}
	return nil
}

// text goes over a string.
func (c *cutter) text() bool {
	for c.at++; c.at < len(c.data); {
		i := bytes.IndexByte(c.data[c.at:], '"')
		if i < 0 {
			return false
		}
		end := c.at + i
		slashes := 0
		for end-1-slashes >= c.at && c.data[end-1-slashes] == '\\' {
			slashes++
		}
		c.at = end + 1
		if slashes%2 == 0 {
			return true
		}
	}
	return false
}
