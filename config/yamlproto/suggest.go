package yamlproto

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// fold makes names comparable that differ only in case, underscores, hyphens or spaces.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '_' || r == '-' || r == ' ':
			return -1
		case 'A' <= r && r <= 'Z':
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

// Nearest returns the name that was most likely meant, or "": equal but for case and separators first, then the smallest
// edit distance that is at most a third of the longer name (and at least one).
func Nearest(got string, names []string) string {
	f := fold(got)
	if f == "" || len(f) > 200 {
		return ""
	}
	best, bestDist := "", 1<<30
	for _, n := range names {
		g := fold(n)
		if f == g {
			return n
		}
		limit := max(1, max(len(f), len(g))/3)
		if len(f)-len(g) > limit || len(g)-len(f) > limit {
			continue
		}
		if d := distance(f, g); d <= limit && d < bestDist {
			best, bestDist = n, d
		}
	}
	return best
}

// distance is the optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours cost one.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// fieldNames lists the names a mapping may use, sorted; with or without the deprecated ones.
func fieldNames(md protoreflect.MessageDescriptor, deprecated bool) []string {
	fs := md.Fields()
	out := make([]string, 0, fs.Len())
	for i := range fs.Len() {
		if fd := fs.Get(i); !hiddenField(fd) && (deprecated || !isDeprecated(fd)) {
			out = append(out, string(fd.Name()))
		}
	}
	slices.Sort(out)
	return out
}

// hiddenField tells the fields that Envoy keeps only so that old configurations fail with a better message.
func hiddenField(fd protoreflect.FieldDescriptor) bool {
	return strings.HasPrefix(string(fd.Name()), "hidden_envoy_deprecated_")
}

func isDeprecated(fd protoreflect.FieldDescriptor) bool {
	o, ok := fd.Options().(*descriptorpb.FieldOptions)
	return ok && o.GetDeprecated()
}

// suggestField says where an unknown field may have been meant to go: a similar name here, or the same name one level down.
func suggestField(got string, md protoreflect.MessageDescriptor) string {
	if n := Nearest(got, fieldNames(md, true)); n != "" {
		return "did you mean " + quote(n) + "?"
	}
	fs := md.Fields()
	for i := range fs.Len() {
		fd := fs.Get(i)
		if fd.Kind() != protoreflect.MessageKind || fd.IsMap() || hiddenField(fd) || isDeprecated(fd) || isWellKnown(fd.Message()) {
			continue
		}
		if findField(fd.Message(), got) != nil {
			return "did you mean to put it inside " + quote(string(fd.Name())) + "?"
		}
	}
	return ""
}

// enumNames lists the value names of an enum, in the order of the proto.
func enumNames(ed protoreflect.EnumDescriptor) []string {
	vs := ed.Values()
	out := make([]string, 0, vs.Len())
	for i := range vs.Len() {
		out = append(out, string(vs.Get(i).Name()))
	}
	return out
}

// suggestType finds a registered type whose name is like the one that was not found.
func suggestType(url string, r Resolver) string {
	ranger, ok := r.(interface {
		RangeMessages(func(protoreflect.MessageType) bool)
	})
	if !ok {
		return ""
	}
	slash := strings.LastIndexByte(url, '/')
	got := url[slash+1:]
	if got == "" {
		return ""
	}
	var same, all []string
	ranger.RangeMessages(func(mt protoreflect.MessageType) bool {
		name := string(mt.Descriptor().FullName())
		all = append(all, name)
		if name[strings.LastIndexByte(name, '.')+1:] == got[strings.LastIndexByte(got, '.')+1:] {
			same = append(same, name)
		}
		return true
	})
	slices.Sort(all)
	slices.Sort(same)
	// Names share long prefixes, so near means a slip of the pen here, not a third of the name.
	best := Nearest(got, all)
	switch {
	case best != "" && distance(fold(got), fold(best)) <= 3:
	case len(same) == 1:
		best = same[0]
	default:
		return ""
	}
	return "did you mean " + strconv.Quote("type.googleapis.com/"+best) + "?"
}
