package yamlproto

import (
	"github.com/cncf/xds/go/udpa/annotations"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// isSensitive tells the fields that Envoy marks as secret (udpa.annotations.sensitive: private keys, passwords, tokens).
func isSensitive(fd protoreflect.FieldDescriptor) bool {
	o := fd.Options()
	return proto.HasExtension(o, annotations.E_Sensitive) && proto.GetExtension(o, annotations.E_Sensitive) == true
}

// hideSkipped hides a value that is not read, when it is secret or may be: fd is the field it was for, nil when that is unknown.
func (d *decoder) hideSkipped(n *yaml.Node, fd protoreflect.FieldDescriptor) {
	if d.secret == 0 && (fd == nil || !isSensitive(fd)) {
		return
	}
	if n.Kind == yaml.ScalarNode {
		d.src.hide(n)
	}
	for _, c := range n.Content {
		d.hideSkipped(c, fd)
	}
}

// secretScalar reads a scalar that must be shown nowhere, neither in an excerpt nor in a message. File names and names of
// environment variables are read so too: they stand where the secret itself could.
func (d *decoder) secretScalar(e entry, n *yaml.Node, fd protoreflect.FieldDescriptor) (entry, protoreflect.Value, bool) {
	d.src.hide(n)
	before := len(d.errs)
	v, ok := d.scalar(n, fd)
	for _, err := range d.errs[before:] {
		err.Message, err.Suggestion = "want "+wants(fd)+", the value is secret and not shown", ""
	}
	return e, v, ok
}
