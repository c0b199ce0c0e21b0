package scale

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// write puts resources of one kind into a file beside it, then moves that into place: Envoy watches for moves.
func (w *world) write(t *testing.T, name string, version int, ms []proto.Message) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"version_info":"%d","resources":[`, version)
	for i, m := range ms {
		if i > 0 {
			b.WriteByte(',')
		}
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(packed(m))
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	b.WriteString("]}\n")
	path := filepath.Join(w.file, name)
	if err := os.WriteFile(path+".new", b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	// The rename is what both see; writing was before it.
	w.moves = append(w.moves, func() {
		if err := os.Rename(path+".new", path); err != nil {
			t.Error(err)
		}
	})
}

// move makes what was written visible.
func (w *world) move() {
	for _, f := range w.moves {
		f()
	}
	w.moves = nil
}
