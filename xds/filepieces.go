package xds

import (
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/turn"
	"github.com/weirproxy/weir/config/yamlproto"
	"google.golang.org/protobuf/types/known/anypb"
)

// pieces are the resources of a JSON file as they stand in it, with what each is: those that are the same text the next time are not
// read again, so that one change among thousands costs a look over the file. Also the first time they are read one by one, so that of a
// large file only little is in memory in other forms at once.
type pieces struct {
	texts [][]byte
	anys  []*anypb.Any
	trees []*tree // how they came to be; nil of small ones
}

// read reads the next content with the help of the last, which may be nil. It gives nil when the whole has to be read, also when there
// is a mistake: what is wrong is told with its place.
func (p *pieces) read(data []byte, url string) (*discoveryv3.DiscoveryResponse, *pieces) {
	if p == nil {
		p = &pieces{}
	}
	texts, rest, ok := cutItems(data, "resources", "resources")
	if !ok {
		return nil, nil
	}
	r := &discoveryv3.DiscoveryResponse{}
	if _, err := yamlproto.Unmarshal(rest, r, yamlproto.Options{}); err != nil || len(r.Resources) > 0 {
		return nil, nil
	}
	r.Resources = make([]*anypb.Any, len(texts))
	next := &pieces{texts, r.Resources, make([]*tree, len(texts))}
	n := nestOf(url)
	var now turn.Turn
	for i, pair := range core.Align(p.texts, texts) {
		now.Pass()
		var was *tree
		if pair.Old >= 0 {
			was = p.trees[pair.Old]
		}
		if pair.Same {
			r.Resources[i], next.trees[i] = p.anys[pair.Old], was
			continue
		}
		a, t, err := n.resource(texts[i], was)
		if err != nil {
			return nil, nil
		}
		r.Resources[i], next.trees[i] = a, t
	}
	return r, next
}

// cutItems finds the objects of a list in a JSON object, by either spelling of its name, and gives the object with none of them. What it
// takes for an item is one if it is valid JSON.
func cutItems(data []byte, name, alias string) (items [][]byte, rest []byte, ok bool) {
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
		if len(key) < 2 || key[0] != '"' || !c.take(':') {
			return nil, nil, false
		}
		if k := key[1 : len(key)-1]; string(k) != name && string(k) != alias {
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
			if len(item) == 0 || item[0] != '{' { // null would be read by itself, and is refused in a list
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
