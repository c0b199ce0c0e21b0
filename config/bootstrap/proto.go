package bootstrap

import (
	"fmt"
	"path/filepath"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/yamlproto"
)

// read reads one text into m by the extension of its name (Envoy:
// MessageUtil::FileExtensions). Only YAML and JSON have positions; the index of the
// others is nil.
func (t text) read(m *bootstrapv3.Bootstrap) (*yamlproto.Index, error) {
	var err error
	switch filepath.Ext(t.name) {
	case ".pb":
		err = proto.Unmarshal(t.data, m)
	case ".pb_text", ".pbtxt":
		err = prototext.Unmarshal(t.data, m)
	default:
		return yamlproto.Unmarshal(t.data, m, yamlproto.Options{File: t.name})
	}
	if err != nil {
		return nil, fmt.Errorf("no bootstrap in the format of its name: %w", err)
	}
	return nil, nil
}
