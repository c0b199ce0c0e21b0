package route

import (
	"slices"

	"github.com/weirproxy/weir/config/match"
)

// index finds the routes whose path criterion holds without asking each of them:
// a map for exact paths, and radix trees for prefixes and for the text that regexes
// begin with.
// Every list holds positions in VirtualHost.Routes in ascending order, so the
// first match of the configuration is the least position of all lists.
type index struct {
	exact map[string][]int32
	tree  *node // case-sensitive prefixes
	fold  *node // case-insensitive prefixes and paths, in lower case
	regex *node // regexes, by the text that every match begins with
}

// node is one edge of a radix tree and what ends there.
type node struct {
	label string  // bytes from the parent to here
	kids  []*node // by first byte of label

	prefix    []int32 // prefix routes that end here
	separated []int32 // path_separated_prefix routes that end here
	exact     []int32 // path routes that end here
	regex     []int32 // safe_regex routes whose text ends here
}

func newIndex(routes []*Route) index {
	x := index{}
	for i, rt := range routes {
		c, at := &rt.criteria, int32(i)
		switch {
		case c.kind == pathConnect: // linear finds it
		case c.kind == pathRegex:
			if lit, ok := c.re.Literal(); ok {
				x.addExact(lit, at)
			} else {
				n := insert(&x.regex, c.re.Prefix())
				n.regex = append(n.regex, at)
			}
		case c.kind == pathExact && !c.fold:
			x.addExact(c.text, at)
		default:
			root := &x.tree
			if c.fold {
				root = &x.fold
			}
			n := insert(root, c.text)
			switch c.kind {
			case pathPrefix:
				n.prefix = append(n.prefix, at)
			case pathSeparated:
				n.separated = append(n.separated, at)
			default:
				n.exact = append(n.exact, at)
			}
		}
	}
	return x
}

func (x *index) addExact(path string, at int32) {
	if x.exact == nil {
		x.exact = map[string][]int32{}
	}
	x.exact[path] = append(x.exact[path], at)
}

// first gives the position of the first route that matches, len(routes) when
// none does. The order in which lists are asked does not matter: criteria have
// no effects, and a list is left at the best position so far.
func (x *index) first(routes []*Route, path []byte, r *Request) int {
	best := len(routes)
	if x.exact != nil {
		best = scan(x.exact[string(path)], best, routes, r)
	}
	if x.tree != nil {
		best = x.tree.first(false, best, routes, path, r)
	}
	if x.fold != nil {
		best = x.fold.first(true, best, routes, path, r)
	}
	if x.regex != nil { // last: a regex costs more than everything before
		best = x.regex.firstRegex(best, routes, path, r)
	}
	return best
}

func scan(l []int32, best int, routes []*Route, r *Request) int {
	for _, i := range l {
		if int(i) >= best {
			break
		}
		if routes[i].criteria.matchRest(r, nil) {
			return int(i)
		}
	}
	return best
}

// first walks down along the path.
func (n *node) first(fold bool, best int, routes []*Route, path []byte, r *Request) int {
	for {
		best = scan(n.prefix, best, routes, r)
		if len(path) == 0 {
			best = scan(n.separated, best, routes, r)
			return scan(n.exact, best, routes, r)
		}
		c := path[0]
		if c == '/' {
			best = scan(n.separated, best, routes, r)
		}
		if fold {
			c = match.Lower(c)
		}
		n = n.child(c)
		if n == nil || len(path) < len(n.label) {
			return best
		}
		head := path[:len(n.label)]
		if string(head) != n.label && !(fold && match.EqualFold(head, n.label)) {
			return best
		}
		path = path[len(n.label):]
	}
}

// firstRegex walks down along the path and asks the regexes on the way.
func (n *node) firstRegex(best int, routes []*Route, path []byte, r *Request) int {
	for whole := path; ; {
		for _, i := range n.regex {
			if int(i) >= best {
				break
			}
			if c := &routes[i].criteria; c.re.Match(whole) && c.matchRest(r, nil) {
				best = int(i)
				break
			}
		}
		if len(path) == 0 {
			return best
		}
		n = n.child(path[0])
		if n == nil || len(path) < len(n.label) || string(path[:len(n.label)]) != n.label {
			return best
		}
		path = path[len(n.label):]
	}
}

// child gives the edge that begins with c.
func (n *node) child(c byte) *node {
	lo, hi := 0, len(n.kids)
	for lo < hi {
		mid := (lo + hi) / 2
		if n.kids[mid].label[0] < c {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(n.kids) && n.kids[lo].label[0] == c {
		return n.kids[lo]
	}
	return nil
}

// insert gives the node of a key, made when it is not there.
func insert(root **node, key string) *node {
	if *root == nil {
		*root = &node{}
	}
	n := *root
	for key != "" {
		k := n.child(key[0])
		if k == nil {
			k = &node{label: key}
			at, _ := slices.BinarySearchFunc(n.kids, key[0], func(e *node, c byte) int { return int(e.label[0]) - int(c) })
			n.kids = slices.Insert(n.kids, at, k)
			return k
		}
		same := common(k.label, key)
		if same < len(k.label) {
			k.split(same)
		}
		n, key = k, key[same:]
	}
	return n
}

// split cuts the edge after at bytes; what ended here ends in the lower part.
func (n *node) split(at int) {
	low := *n
	low.label = n.label[at:]
	*n = node{label: n.label[:at], kids: []*node{&low}}
}

func common(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}
